"""``droptime train`` as a process of its own, forked from one that has its libraries loaded."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.chaos.faults import Fault

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["droptime.cli.train", "droptime.training.trainer", "sklearn.datasets"]
)


def start(arguments: Sequence[str], log: Path, fault: Fault | None = None) -> BaseProcess:
    """Start the command; what it prints is added to ``log``."""
    log.touch()
    process = _FORKS.Process(target=_run, args=(list(arguments), log, fault))
    process.start()
    return process


def wait(process: BaseProcess, *, limit: float = 120.0) -> str:
    """Wait for a process and say how it ended: ``"0"``, ``"75"``, ``"SIGKILL"``."""
    process.join(limit)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
        raise TimeoutError(f"{process.name} did not end within {limit:g} s.")
    return signal.Signals(-code).name if code < 0 else str(code)


def until(condition: Callable[[], bool], process: BaseProcess) -> bool:
    """Wait until something is so; false if the process ends before."""
    while not condition():
        process.join(0.002)
        if process.exitcode is not None:
            return condition()
    return True


def _run(arguments: list[str], log: Path, fault: Fault | None) -> None:
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["droptime", "train", *arguments]
    if fault is not None:
        fault.arm()
    from droptime.cli import main

    main()
