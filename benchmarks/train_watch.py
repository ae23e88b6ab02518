"""Watch a training process from outside: its steps, epochs, processor time and memory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

_OURS = re.compile(r"^step (\d+) (\d+)/(\d+) time ([\d.]+) data ([\d.]+)")
_TIMM = re.compile(
    r"Train: (\d+) \[ *(\d+)/(\d+) .*?Time: ([\d.]+)s,.*?Data: ([\d.]+) \("
)  # timm's log; its times are rounded to milliseconds


def say(epoch: int, place: int, steps: int, seconds: float, waited: float) -> None:
    """Say in a line what a step took, and how much of it was waiting for data."""
    print(f"step {epoch} {place}/{steps} time {seconds:.6f} data {waited:.6f}", flush=True)


@dataclass(frozen=True)
class Way:
    """A Python script with its arguments, and its number of decoding processes."""

    command: list[str]
    workers: int


@dataclass(frozen=True)
class Watched:
    """Seconds of one run, over its epochs after the first.

    Attributes:
        step: mean of a step without the wait for its data.
        steady: mean of a step with it, without the first of each epoch.
        epoch: mean of an epoch, wall time from outside.
        cpu: mean processor time of an epoch, of all processes.
        memory: MB; most that the main process had resident, and its children's share.
        steps: of an epoch.
    """

    step: float
    steady: float
    epoch: float
    cpu: float
    memory: float
    steps: int


def watch(way: Way, *, epochs: int, threads: int, scratch: str) -> Watched:
    """Run the command until ``epochs`` epochs after the first are done, then end it.

    Raises:
        RuntimeError: it ended before that; its last lines are told.
    """
    paths = [str(Path(__file__).parents[1] / "src"), str(Path(__file__).parent)]
    process = subprocess.Popen(  # noqa: S603 - the command is the benchmark's own
        [sys.executable, *way.command],
        cwd=scratch,
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    main, lines, ends = psutil.Process(process.pid), [], []
    steps: list[tuple[float, ...]] = []
    try:
        for line in process.stdout:
            lines.append(line)
            found = _OURS.search(line) or _TIMM.search(line)
            if not found:
                continue
            epoch, place, count = map(int, found.groups()[:3])
            if epoch:
                steps.append((place, *map(float, found.groups()[3:])))
            if place + 1 == count:
                ends.append((time.perf_counter(), *_spent(main)))
            if len(ends) == epochs + 1:
                break
        else:
            raise RuntimeError(f"{' '.join(way.command)}\n{''.join(lines[-20:])}")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    places, times, waits = np.array(steps).T
    wall, cpu, memory = np.array(ends).T
    return Watched(
        step=float((times - waits).mean()),
        steady=float(times[places > 0].mean()),
        epoch=float(wall[-1] - wall[0]) / epochs,
        cpu=float(cpu[-1] - cpu[0]) / epochs,
        memory=float(memory.max()),
        steps=count,
    )


def _spent(main: psutil.Process) -> tuple[float, float]:
    """Processor seconds and MB so far, of the process and its children."""
    times = main.cpu_times()
    cpu = times.user + times.system + times.children_user + times.children_system
    memory = _highest(main.pid)
    for child in main.children(recursive=True):
        try:
            cpu += sum(child.cpu_times()[:2])
            memory += child.memory_full_info().pss / 2**20
        except psutil.NoSuchProcess:
            continue
    return cpu, memory


def _highest(pid: int) -> float:
    """MB that the process had resident at most (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")
