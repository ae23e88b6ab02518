"""A run directory read back: its config, its rows in order, its summary if it finished."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from droptime.errors import RecordError
from droptime.records.changes import Change, read_changes
from droptime.records.dynamics import DynamicsRow
from droptime.records.files import disk, load, read_json
from droptime.records.rows import EvalRow, Row, StepRow, Summary, decode_row, decode_summary

CONFIG, ROWS, SUMMARY = "config.json", "rows.jsonl", "summary.json"


@dataclass(frozen=True)
class Run:
    """One run as its directory tells it.

    Attributes:
        path: the run directory.
        config: what the run was asked to do; its latest settings.
        steps: training rows, steps strictly increasing.
        evals: measurements in the order they were made.
        dynamics: what a probe measured of the gradients, steps strictly increasing.
        summary: how it ended; None while it runs, or if it was killed.
        changes: settings that were others at first, in the order they changed.
    """

    path: Path
    config: dict[str, Any]
    steps: tuple[StepRow, ...]
    evals: tuple[EvalRow, ...]
    dynamics: tuple[DynamicsRow, ...]
    summary: Summary | None
    changes: tuple[Change, ...] = ()

    @property
    def arm(self) -> str:
        """The arm of the study this run belongs to (``config["arm"]``)."""
        return str(self._configured("arm"))

    @property
    def seed(self) -> int:
        """The seed of the run (``config["seed"]``)."""
        seed = self._configured("seed")
        if not isinstance(seed, int):
            raise RecordError(f"{self.path / CONFIG}: seed {seed!r} is not a whole number.")
        return seed

    @property
    def finished(self) -> bool:
        """Whether the run ended by itself."""
        return self.summary is not None

    @property
    def last_step(self) -> int | None:
        """The last step any row tells of; None before the first."""
        ends = [rows[-1].step for rows in (self.steps, self.evals) if rows]
        return max(ends, default=None)

    def _configured(self, name: str) -> object:
        if name not in self.config:
            raise RecordError(f"{self.path / CONFIG} names no {name!r}: not a run of a study.")
        return self.config[name]


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a run directory, also one that is still being written or was killed.

    The summary is read before the rows, so a run that has one has all its rows. A last line
    that was cut off is left out; anything else malformed is an error.

    Raises:
        RecordError: not a run directory, or a file is malformed (the message names file and
            line) or written by a newer release.
    """
    run = Path(path)
    config, changes = read_settings(run)
    summary = read_summary(run)
    rows = read_rows(run / ROWS)
    steps = tuple(row for row in rows if isinstance(row, StepRow))
    evals = tuple(row for row in rows if isinstance(row, EvalRow))
    dynamics = tuple(row for row in rows if isinstance(row, DynamicsRow))
    return Run(run, config, steps, evals, dynamics, summary, changes)


def read_config(run: Path) -> dict[str, Any]:
    """Read a run's config."""
    return read_settings(run)[0]


def read_settings(run: Path) -> tuple[dict[str, Any], tuple[Change, ...]]:
    """Read a run's config, and how it came to be what it is."""
    if not (run / CONFIG).is_file():
        raise RecordError(f"{run} is not a run directory: it has no {CONFIG}.")
    content = read_json(run / CONFIG)
    config = content.get("config")
    if not isinstance(config, dict):
        raise RecordError(f"{run / CONFIG}: expected the run's config under 'config'.")
    try:
        return config, read_changes(content.get("changes", []))
    except RecordError as error:
        raise RecordError(f"{run / CONFIG}: {error}") from error


def read_summary(run: Path) -> Summary | None:
    """Read a run's summary, None if it has not finished."""
    if not (run / SUMMARY).is_file():
        return None
    try:
        return decode_summary(read_json(run / SUMMARY))
    except RecordError as error:
        raise RecordError(named(run / SUMMARY, error)) from error


def read_rows(path: Path) -> tuple[Row, ...]:
    """Read ``rows.jsonl``; a file that is not there yet holds no rows."""
    if not path.is_file():
        return ()
    with disk("read", path):
        lines = path.read_bytes().split(b"\n")
    if not lines[-1] or _is_torn(lines[-1]):
        lines.pop()
    return tuple(_decode_lines(path, lines))


def _decode_lines(path: Path, lines: Iterable[bytes]) -> Iterable[Row]:
    order = RowOrder()
    for number, line in enumerate(lines, start=1):
        try:
            row = decode_row(line)
            order.admit(row)
        except RecordError as error:
            raise RecordError(f"{path}, line {number}: {error}") from error
        yield row


def _is_torn(last_line: bytes) -> bool:
    """Whether an unterminated line was cut: a whole JSON object ends with its brace."""
    try:
        load(last_line)
    except RecordError:
        return True
    return False


class RowOrder:
    """Lets no step be told twice: within a stream of rows, steps strictly increase."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def check(self, row: Row) -> str:
        """Return the stream the row may join.

        Raises:
            RecordError: the stream already holds this step or a later one.
        """
        stream = _stream(row)
        last = self._last.get(stream, -1)
        if row.step <= last:
            raise RecordError(
                f"the {stream} row of step {row.step} comes after that of step {last}: "
                "steps must increase."
            )
        return stream

    def admit(self, row: Row) -> None:
        """Check the row and note its step."""
        self._last[self.check(row)] = row.step


def _stream(row: Row) -> str:
    if isinstance(row, EvalRow):
        return f"{row.weights} evaluation"
    return "training" if isinstance(row, StepRow) else "dynamics"


def named(path: Path, error: RecordError) -> str:
    """Return the error's message, the file named once."""
    message = str(error)
    return message if str(path) in message else f"{path}: {message}"
