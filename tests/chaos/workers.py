"""A run in two processes of torchrun, one of which is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from droptime.records import read_run
from tests.chaos.trial import Outcome, Trial, Whole, digests, judge

_LAUNCH = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python")
_TIMES = 2


def one_worker_killed(trial: Trial) -> Outcome:
    """SIGKILL for one of the two at random moments of training; torchrun ends the other."""
    trial.whole = _undisturbed(trial.out.with_name("whole-of-two"), tuple(trial.arguments))
    for _ in range(_TIMES):
        launcher = _start(trial)
        workers = _until_trains(trial, launcher)
        if workers:
            trial.sleep()
            with suppress(ProcessLookupError):  # it has finished
                os.kill(trial.random.choice(workers), signal.SIGKILL)
        if _end(launcher) == 0:
            break
        trial.ends["SIGKILL"] += 1
    if not trial.done:
        _end(_start(trial))
    trial.ends["0"] += trial.done
    return judge(trial)


@cache
def _undisturbed(out: Path, arguments: tuple[str, ...]) -> Whole:
    """Make the run of two processes that others are compared with."""
    launcher = _launch(arguments, out)
    if _end(launcher) != 0:
        raise RuntimeError(f"The undisturbed run failed:\n{out.with_suffix('.log').read_text()}")
    run = read_run(out)
    assert run.summary is not None
    return Whole(digests(out), len(run.steps), run.summary.seconds)


def _start(trial: Trial) -> subprocess.Popen[bytes]:
    return _launch(tuple(trial.arguments), trial.out)


def _launch(arguments: tuple[str, ...], out: Path) -> subprocess.Popen[bytes]:
    droptime = str(Path(sys.executable).with_name("droptime"))
    with out.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *_LAUNCH, droptime, "train", *arguments, "--out", str(out)],
            stdout=log,
            stderr=log,
        )


def _end(launcher: subprocess.Popen[bytes]) -> int:
    return launcher.wait(timeout=180)


def _until_trains(trial: Trial, launcher: subprocess.Popen[bytes]) -> list[int]:
    """Wait until the run has said how it is; the workers' numbers, none if it ended before."""
    said = trial.notes["trained"] + 1
    while launcher.poll() is None:
        if trial.log.read_text().count("parameters") >= said:
            trial.notes["trained"] += 1
            children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text()
            return [int(child) for child in children.split() if _is_worker(int(child))]
        time.sleep(0.01)
    return []


def _is_worker(process: int) -> bool:
    return b"droptime\0train" in Path(f"/proc/{process}/cmdline").read_bytes()
