"""One run that is disturbed until it is done, and what became of it."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

from droptime.errors import RecordError
from droptime.records import read_run
from droptime.training.saving.checkpoint import steps_saved
from tests.chaos import command
from tests.chaos.faults import Fault

FILES = ("model.safetensors", "ema.safetensors", "rows.jsonl")


@dataclass(frozen=True)
class Whole:
    """A run that nobody disturbed.

    Attributes:
        digests: SHA-256 of what it left behind, by file.
        steps: training steps.
        seconds: from the start of its process to its end.
    """

    digests: dict[str, str]
    steps: int
    seconds: float


@dataclass
class Trial:
    """A run that will be disturbed.

    Attributes:
        out: its directory; what it prints goes to a file beside it.
        arguments: of ``droptime train``.
        random: decides every moment.
        whole: the same run undisturbed.
        ends: how often its processes ended in which way.
        notes: what else happened, how often.
    """

    out: Path
    arguments: Sequence[str]
    random: Random
    whole: Whole
    ends: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def start(self, fault: Fault | None = None) -> BaseProcess:
        """Begin the run or go on with it."""
        return command.start([*self.arguments, "--out", str(self.out)], self.log, fault)

    def end(self, process: BaseProcess) -> str:
        """Wait for the process and note how it ended."""
        how = command.wait(process)
        self.ends[how] += 1
        return how

    def sleep(self, *, most: float = 0.6) -> None:
        """Let a random part of an undisturbed run's time pass, from none to ``most``."""
        time.sleep(self.random.uniform(0.0, most) * self.whole.seconds)

    def until_trains(self, process: BaseProcess) -> bool:
        """Wait until the process has said how the run is; false if it ended before."""
        said = self.notes["trained"] + 1
        trains = command.until(lambda: self.log.read_text().count("parameters") >= said, process)
        self.notes["trained"] += trains
        return trains

    def until_saved(self, process: BaseProcess, *, above: int) -> bool:
        """Wait for a checkpoint after more than so many steps; false if the run ended before."""
        return command.until(lambda: max(self.saved(), default=0) > above, process)

    def saved(self) -> list[int]:
        """Return the steps of its checkpoints."""
        return steps_saved(self.out / "checkpoints")

    @property
    def done(self) -> bool:
        """Whether the run has finished."""
        return (self.out / "summary.json").exists()

    @property
    def log(self) -> Path:
        """What its processes print."""
        return self.out.with_suffix(".log")


@dataclass(frozen=True)
class Outcome:
    """How a disturbed run compares with the same run undisturbed.

    Attributes:
        finished: its last process ended with 0.
        same_weights: ``model.safetensors`` has the same SHA-256.
        same_average: ``ema.safetensors`` has.
        same_rows: ``rows.jsonl`` has.
        steps_whole: every step has one row, none is missing and none is there twice.
        ends: how its processes ended, and how often.
        notes: what else happened, and how often.
    """

    finished: bool
    same_weights: bool
    same_average: bool
    same_rows: bool
    steps_whole: bool
    ends: dict[str, int]
    notes: dict[str, int]

    @property
    def good(self) -> bool:
        """Whether nothing was lost."""
        same = self.same_weights and self.same_average and self.same_rows
        return self.finished and same and self.steps_whole

    def as_row(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def undisturbed(out: Path, arguments: Sequence[str]) -> Whole:
    """Make the run that the others are compared with."""
    log = out.with_suffix(".log")
    command.wait(command.start(["--help"], log))  # the first of all loads the libraries
    began = time.perf_counter()
    how = command.wait(command.start([*arguments, "--out", str(out)], log))
    if how != "0":
        raise RuntimeError(f"The undisturbed run ended with {how}:\n{log.read_text()}")
    seconds = time.perf_counter() - began
    return Whole(digests(out), len(read_run(out).steps), seconds)


def judge(trial: Trial) -> Outcome:
    """Let the run go on to its end and compare it."""
    if not trial.done:
        trial.end(trial.start())
    found = digests(trial.out)
    same = {name: found.get(name) == digest for name, digest in trial.whole.digests.items()}
    return Outcome(
        finished=trial.done,
        same_weights=same["model.safetensors"],
        same_average=same["ema.safetensors"],
        same_rows=same["rows.jsonl"],
        steps_whole=_steps(trial.out) == list(range(trial.whole.steps)),
        ends=dict(trial.ends),
        notes=dict(trial.notes),
    )


def digests(out: Path) -> dict[str, str]:
    """Return the SHA-256 of the files a run leaves behind, by name."""
    paths = (out / name for name in FILES)
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in paths if p.exists()}


def _steps(out: Path) -> list[int]:
    try:
        return [row.step for row in read_run(out).steps]
    except RecordError:
        return []
