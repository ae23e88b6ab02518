"""One call at a time trains into a study's folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from droptime.errors import RecordError
from droptime.records.files import disk

if sys.platform != "win32":
    import fcntl


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Hold the study's folder; the system lets go of it however the process ends.

    Where the system knows no such locks the folder is left unguarded.

    Raises:
        RecordError: another process is training this study, or the disk refuses the folder.
    """
    folder = Path(folder)
    with disk("create", folder):
        folder.mkdir(parents=True, exist_ok=True)
    with disk("open", folder / ".lock"):
        lock = (folder / ".lock").open("a")
    with lock as file:
        if sys.platform != "win32":
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RecordError(
                    f"{folder} is being trained by another process: wait for it to end, "
                    "or stop it and run the same command again."
                ) from error
        yield
