"""What was seen so far, one JSON line each: a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from tests.zoo import wings

ROOT = Path(__file__).parents[2]
_SOURCES = ("src/droptime/sites", "src/droptime/layers", "src/droptime/scheduler.py", "tests/zoo")
_UNREAD = ("__main__.py", "page.py", "reasons.py", "results.py", "texts.py")


class Notes:
    """A file of rows, by key. Rows made with other versions or other code are not used.

    Args:
        path: the file; made if it is not there.
        library: whose version the rows depend on.
        keep: use rows made with other code too, as while mending one family.
    """

    def __init__(self, path: Path, library: str, *, keep: bool = False) -> None:
        self.path = path
        self.made_with = [_versions(library), _code()]
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows: dict[str, dict[str, Any]] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                key, (versions, code), row = json.loads(line)
            except ValueError:  # the end of a line that was being written
                continue
            if versions == self.made_with[0] and (keep or code == self.made_with[1]):
                self.rows[key] = row

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Keep a row; on disk when this returns."""
        self.rows[key] = row
        with self.path.open("a+b") as file:
            if file.tell() and _last_byte(file) != b"\n":
                file.write(b"\n")
            file.write(json.dumps([key, self.made_with, row]).encode() + b"\n")


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    byte: bytes = file.read(1)
    return byte


def _versions(library: str) -> str:
    return f"torch {wings.version('torch')}, {library} {wings.version(library)}"


def _code() -> str:
    """A digest of the code that finds, opens, proves and examines."""
    digest = hashlib.sha256()
    for source in _SOURCES:
        path = ROOT / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if file.name not in _UNREAD and not file.name.startswith("test_"):
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
