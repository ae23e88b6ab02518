"""How far the runs of a study are, read from their directories and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from droptime.errors import RecordError
from droptime.records import StepRow
from droptime.records.reader import read_config
from droptime.records.rows import decode_row
from droptime.study.grid import Job

_ALL_BUT_THE_END = 0.99  # after its last step a run is measured and saved
_TAIL = 1 << 16  # bytes at the end of a run's rows: many rows of every kind


@dataclass(frozen=True)
class RunProgress:
    """One run: its name, the fraction of it that is done, and its latest row, if any."""

    name: str
    done: float
    loss: float | None = None
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyProgress:
    """A whole study at one moment.

    Attributes:
        finished: runs that have their summary.
        planned: runs in all.
        done: the fraction of all training that is done; every run counts the same.
        running: those being trained now.
    """

    finished: int
    planned: int
    done: float
    running: tuple[RunProgress, ...]


def look_at_run(job: Job) -> RunProgress:
    """Read how far a run is: a run without rows has not begun, one with a summary is done."""
    row = _last_step(job.path / "rows.jsonl")
    if job.finished or row is None:
        return RunProgress(job.name, float(job.finished))
    done = min(row.epoch / _epochs(job), _ALL_BUT_THE_END)
    return RunProgress(job.name, done, row.loss, row.rates)


def look_at_study(jobs: Sequence[Job], running: Sequence[Job]) -> StudyProgress:
    """Read how far a study is; ``running`` are the jobs a worker has now."""
    runs = [look_at_run(job) for job in jobs]
    names = {job.name for job in running}
    return StudyProgress(
        finished=sum(job.finished for job in jobs),
        planned=len(jobs),
        done=sum(run.done for run in runs) / len(runs),
        running=tuple(run for run in runs if run.name in names),
    )


class Pace:
    """Seconds left, judged by the work seen since it first moved: starting up does not count.

    >>> pace = Pace()
    >>> [pace.left(0.5, now=0.0), pace.left(0.5, now=10.0), pace.left(0.75, now=20.0)]
    [None, None, 10.0]
    """

    def __init__(self) -> None:
        self._since, self._start = 0.0, -1.0

    def left(self, done: float, *, now: float) -> float | None:
        """Note that ``done`` of the work is done at the time ``now``; return the seconds left.

        None while nothing has moved.
        """
        if self._start < 0:
            self._start = done
        if done <= self._start:
            self._since = now
            return None
        return (now - self._since) * (1.0 - done) / (done - self._start)


def _last_step(path: Path) -> StepRow | None:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return None
    for line in reversed(lines):
        try:
            row = decode_row(line)
        except RecordError:  # a line still being written, or cut by the window
            continue
        if isinstance(row, StepRow):
            return row
    return None


def _epochs(job: Job) -> float:
    """How long the run is: as asked for, or else as its own record says."""
    epochs = job.config.get("epochs") or read_config(job.path).get("epochs")
    return float(epochs) if isinstance(epochs, int | float) and epochs > 0 else float("inf")
