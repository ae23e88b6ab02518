"""Write a run directory so that a kill at any moment leaves a readable, resumable run."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from droptime.errors import RecordError
from droptime.records.changes import Change, change_of, changes_json, go_back
from droptime.records.files import (
    JSON,
    VERSION,
    disk,
    dump,
    encode_text,
    load,
    write_atomic,
    write_json,
)
from droptime.records.reader import (
    CONFIG,
    ROWS,
    SUMMARY,
    RowOrder,
    read_config,
    read_rows,
    read_settings,
)
from droptime.records.rows import Row, Summary, encode_row, encode_summary

if sys.platform != "win32":
    import fcntl

_LOCK = ".lock"


class RunWriter:
    """The one writer of a run directory; a context manager.

    Each row reaches the operating system as it is appended, so a killed process loses none
    and progress can be read at once; :meth:`flush` also makes rows survive a power cut. Flush
    before saving a checkpoint: then :meth:`resume` at that checkpoint misses no step.

    >>> import tempfile
    >>> from droptime.records import EvalRow, StepRow, Summary, read_run
    >>> folder = tempfile.mkdtemp() + "/none-s0"
    >>> with RunWriter.create(folder, {"arm": "none", "seed": 0}) as run:
    ...     run.append(StepRow(step=0, epoch=0.0, loss=2.3, lr=1e-3, rates={}))
    ...     run.append(EvalRow(0, 1.0, 2.1, 0.3, 2.2, 0.25))
    ...     run.finish(Summary(1, 0.5, EvalRow(0, 1.0, 2.1, 0.3, 2.2, 0.25), {}))
    >>> read_run(folder).summary.final.test_accuracy
    0.25
    """

    def __init__(self, path: Path, lock: IO[bytes]) -> None:
        """Not for callers: use :meth:`create` or :meth:`resume`."""
        self.path = path
        self._lock = lock
        self._order = RowOrder()
        self._written = hashlib.sha256()
        self._file: IO[bytes] | None = None

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: Mapping[str, JSON]) -> RunWriter:
        """Begin a run in a new directory, or begin an unfinished one with this config again.

        Rows that an unfinished run already had are dropped: to keep them, :meth:`resume`.

        Raises:
            RecordError: the directory holds a run with another config or a finished one,
                another process is writing it, the config is not JSON, or the disk refuses.
        """
        run = Path(path)
        wanted = _plain_config(config)
        with disk("create", run):
            run.mkdir(parents=True, exist_ok=True)
        return cls._open(run, wanted=wanted, keep_to=-1)

    @classmethod
    def resume(
        cls,
        path: str | os.PathLike[str],
        *,
        step: int,
        changed: Mapping[str, JSON] | None = None,
        digest: str | None = None,
    ) -> RunWriter:
        """Go on with a run from a checkpoint made after ``step``.

        Rows of later steps and a line that was cut off are dropped, atomically: the run will
        make those steps again. ``step=-1`` keeps no row.

        Args:
            path: the run directory.
            step: the last one the checkpoint knows.
            changed: settings that are others from here on; the config is given them, and keeps
                the :class:`~droptime.records.Change`.
            digest: :attr:`digest` at the checkpoint; None: the rows are taken as they are.

        Raises:
            RecordError: no run is there, it has finished, another process is writing it, its
                rows are malformed or not those of the digest, or the disk refuses.
        """
        run = Path(path)
        read_config(run)
        return cls._open(run, wanted=None, keep_to=step, changed=changed or {}, digest=digest)

    @property
    def digest(self) -> str:
        """The SHA-256 of the rows so far."""
        return self._written.hexdigest()

    def append(self, row: Row) -> None:
        """Add a row.

        Raises:
            RecordError: the writer is closed or finished, the step does not increase, a field
                is not what its name says, or the disk refuses (the row is then absent).
        """
        file = self._open_file()
        line = encode_text(encode_row(row))
        self._order.check(row)
        with disk("append to", self.path / ROWS):
            self._write_whole(file, line)
        self._order.admit(row)
        self._written.update(line)

    def flush(self) -> None:
        """Make every row so far survive a power cut.

        Raises:
            RecordError: the writer is closed or finished, the rows were deleted, or the disk
                refuses.
        """
        file = self._open_file()
        with disk("flush", self.path / ROWS):
            os.fsync(file.fileno())
        if not (self.path / ROWS).exists():
            raise RecordError(f"{self.path / ROWS} was deleted while the run was writing it.")

    def finish(self, summary: Summary) -> None:
        """Write the summary, which marks the run as finished, and close the writer.

        Raises:
            RecordError: the writer is closed or finished already, or the disk refuses.
        """
        self.flush()
        write_atomic(self.path / SUMMARY, dump(encode_summary(summary), indent=2) + "\n")
        self.close()

    def close(self) -> None:
        """Let the run directory go; a run without a summary can be resumed."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._lock.close()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @classmethod
    def _open(
        cls,
        run: Path,
        *,
        wanted: dict[str, Any] | None,
        keep_to: int,
        changed: Mapping[str, JSON] | None = None,
        digest: str | None = None,
    ) -> RunWriter:
        writer = cls(run, _take_lock(run))
        try:
            if wanted is not None:
                _settle_config(run, wanted)
            if (run / SUMMARY).exists():
                raise RecordError(f"{run} has finished: delete it, or choose another directory.")
            kept = writer._rows_to(keep_to)
            if digest not in (None, writer.digest):
                raise RecordError(
                    f"{run / ROWS} is not what it was: rows up to step {keep_to} were changed or "
                    "are missing. Restore it, or begin in another directory."
                )
            if changed is not None:
                _settle_changes(run, changed, keep_to + 1)
            write_atomic(run / ROWS, kept)
            with disk("open", run / ROWS):
                writer._file = (run / ROWS).open("ab", buffering=0)
        except BaseException:
            writer.close()
            raise
        return writer

    def _rows_to(self, last: int) -> bytes:
        rows = [row for row in read_rows(self.path / ROWS) if row.step <= last] if last >= 0 else []
        for row in rows:
            self._order.admit(row)
        kept = encode_text("".join(map(encode_row, rows)))
        self._written.update(kept)
        return kept

    def _write_whole(self, file: IO[bytes], line: bytes) -> None:
        """Write all of the line; if that fails, take back what was written, or close for good."""
        start = os.fstat(file.fileno()).st_size
        try:
            done = 0
            while done < len(line):
                done += os.write(file.fileno(), line[done:])
        except BaseException:
            try:
                os.ftruncate(file.fileno(), start)
            except OSError:
                self.close()
            raise

    def _open_file(self) -> IO[bytes]:
        if self._file is None:
            state = "has finished" if (self.path / SUMMARY).exists() else "is closed"
            raise RecordError(f"the writer of {self.path} {state}: it takes no more rows.")
        return self._file


def _take_lock(run: Path) -> IO[bytes]:
    """Hold the run's lock until the file is closed or the process ends, however it ends.

    Where the system or the file system knows no locks, the directory is left unguarded.
    """
    with disk("open", run / _LOCK):
        file = (run / _LOCK).open("ab")
    if sys.platform == "win32":
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise RecordError(
            f"another process is writing {run}: wait for it to end, or stop it."
        ) from error
    except OSError:
        pass
    return file


def _plain_config(config: Mapping[str, JSON]) -> dict[str, Any]:
    """Return the config as it will be read back (tuples are lists in JSON)."""
    plain = load(encode_text(dump(dict(config))))
    if not isinstance(plain, dict):  # pragma: no cover - a mapping dumps to an object
        raise RecordError(f"{config!r} is not a config.")
    return plain


def _settle_config(run: Path, wanted: dict[str, Any]) -> None:
    if not (run / CONFIG).exists():
        _write_config(run, wanted)
        return
    held = read_config(run)
    if held == wanted:
        return
    differing = sorted(key for key in held | wanted if held.get(key) != wanted.get(key))
    listed = "; ".join(
        f"{key}: {held.get(key)!r} there, {wanted.get(key)!r} asked" for key in differing
    )
    raise RecordError(
        f"{run} holds a run with another config ({listed}): "
        "choose another directory, or delete this one."
    )


def _settle_changes(run: Path, changed: Mapping[str, JSON], step: int) -> None:
    """Give the config what changed, from ``step`` on; a later change now begins there too."""
    config, before = read_settings(run)
    changes = go_back(before, step)
    if changed:
        changes += (change_of(config, changed, step),)
    if changes != before:
        _write_config(run, {**config, **changed}, changes)


def _write_config(run: Path, config: Mapping[str, JSON], changes: Sequence[Change] = ()) -> None:
    kept: dict[str, JSON] = {"changes": changes_json(changes)} if changes else {}
    write_json(run / CONFIG, {"v": VERSION, "config": config, **kept})
