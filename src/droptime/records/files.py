"""Files that are whole or absent: atomic writes, strict JSON, errors that name the file."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from droptime.errors import RecordError

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
"""A value that strict JSON can hold (no NaN, no infinity)."""

VERSION = 1
"""The format this release writes; a reader refuses newer ones instead of guessing."""


def write_atomic(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Write ``data`` so that ``path`` holds either its old content or all of the new.

    A temporary file in the same folder is written, synced to disk and renamed over ``path``.
    Text is encoded as UTF-8.

    Raises:
        RecordError: the disk refused; ``path`` is as it was and no temporary file is left.
    """
    target = Path(path)
    content = encode_text(data) if isinstance(data, str) else data
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    with disk("write", target):
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)  # noqa: PTH105 - the name the tests fail on purpose
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    _sync_folder(target.parent)


def write_json(path: Path, value: Mapping[str, JSON]) -> None:
    """Write ``value`` as indented strict JSON, atomically."""
    write_atomic(path, dump(value, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a versioned JSON object that :func:`write_json` wrote.

    Raises:
        RecordError: the file is missing, not JSON, not an object, or of a newer format.
    """
    with disk("read", path):
        content = path.read_bytes()
    try:
        return versioned(load(content))
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


def dump(value: JSON, *, indent: int | None = None) -> str:
    """Write strict JSON text, unicode kept readable.

    Raises:
        RecordError: the value holds NaN, infinity or something JSON has no word for.
    """
    try:
        return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecordError(f"cannot be written as strict JSON: {error}.") from error


def load(content: bytes) -> object:
    """Read strict JSON from UTF-8 bytes.

    Raises:
        RecordError: the bytes are not UTF-8 or not strict JSON.
    """
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise RecordError(f"not valid JSON ({error}).") from error


def versioned(value: object) -> dict[str, Any]:
    """Return the object without its version ``"v"``, which must be one this release knows.

    Raises:
        RecordError: not an object, no version, or a version from a newer release.
    """
    if not isinstance(value, dict):
        raise RecordError(f"expected a JSON object, found {type(value).__name__}.")
    version = value.pop("v", None)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise RecordError(f'expected a format version such as "v": {VERSION}, found {version!r}.')
    if version > VERSION:
        raise RecordError(
            f"written in format {version}, but this droptime reads up to {VERSION}: "
            "upgrade with: pip install --upgrade droptime"
        )
    return value


def encode_text(text: str) -> bytes:
    """Encode as UTF-8.

    Raises:
        RecordError: the text holds half a surrogate pair, which no UTF-8 file can.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RecordError(f"text cannot be written as UTF-8: {error}.") from error


@contextmanager
def disk(action: str, path: Path) -> Iterator[None]:
    """Turn an ``OSError`` inside the block into a RecordError: ``cannot <action> <path>``."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise RecordError(f"cannot {action} {path}: {reason}.") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not strict JSON")


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system lets a folder be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
