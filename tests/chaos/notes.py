"""What became of the runs so far, one JSON line each: chaos that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_SOURCES = ("src/droptime/training", "src/droptime/records", "tests/chaos")
_UNREAD = ("__main__.py", "page.py")


class Notes:
    """A file of outcomes, by run. Those made with other code are not used.

    Args:
        path: the file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._code = path, _digest()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows: dict[str, dict[str, Any]] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                key, code, row = json.loads(line)
            except ValueError:  # the end of a line that was being written
                continue
            if code == self._code:
                self.rows[key] = row

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Keep an outcome; on disk when this returns."""
        self.rows[key] = row
        with self.path.open("a") as file:
            file.write(json.dumps([key, self._code, row]) + "\n")


def _digest() -> str:
    digest = hashlib.sha256()
    for source in _SOURCES:
        for file in sorted((ROOT / source).rglob("*.py")):
            if file.name not in _UNREAD and not file.name.startswith("test_"):
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
