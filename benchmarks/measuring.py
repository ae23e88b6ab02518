"""What the benchmarks share: turns in a shuffled order, quartiles, conditions and the file written.

On a machine that others use too its speed changes from minute to minute. So ways to do one thing
are timed in turn, round by round, and compared within a round.
"""

from __future__ import annotations

import json
import os
import platform
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

Seconds = np.ndarray[tuple[int], np.dtype[np.float64]]


def seconds(run: Callable[[], object], device: torch.device | None = None) -> float:
    """Wall time of one call, the device's work included."""
    _wait(device)
    start = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - start


def in_turn(
    runs: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    at_least: float = 0.0,
    device: torch.device | None = None,
) -> dict[str, Seconds]:
    """Seconds of one call of each run, for each round, after one call to warm up.

    Args:
        runs: what to time, by name.
        rounds: each calls every run, in an order that is shuffled anew.
        at_least: call a run as often as fills about this many seconds, and take the mean.
        device: where the work is done.
    """
    calls = {}
    for name, run in runs.items():
        seconds(run, device)
        calls[name] = 1 + int(at_least / seconds(run, device)) if at_least else 1
    times: dict[str, list[float]] = {name: [] for name in runs}
    order, shuffle = list(runs), random.Random(0)
    for _ in range(rounds):
        shuffle.shuffle(order)
        for name in order:
            times[name].append(seconds(_repeated(runs[name], calls[name]), device) / calls[name])
    return {name: np.array(each) for name, each in times.items()}


def quartiles(values: Seconds, digits: int = 3) -> tuple[float, list[float]]:
    """Median, and lower and upper quartile."""
    low, middle, high = (round(float(q), digits) for q in np.quantile(values, [0.25, 0.5, 0.75]))
    return middle, [low, high]


@contextmanager
def conditions(**settings: object) -> Iterator[dict[str, Any]]:
    """Versions, machine, settings, and what else the machine did: its load average of a minute."""
    found: dict[str, Any] = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        **settings,
        "load_before": round(os.getloadavg()[0], 2),
    }
    yield found
    found["load_after"] = round(os.getloadavg()[0], 2)


def write(out: Path | None, conditions: Mapping[str, Any], rows: list[dict[str, Any]]) -> None:
    """Print the conditions; write them and the rows to ``out``, if it is given."""
    print("; ".join(f"{name} {value}" for name, value in conditions.items()))
    if out:
        out.write_text(json.dumps({"conditions": conditions, "rows": rows}, indent=1) + "\n")


def _repeated(run: Callable[[], object], calls: int) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(calls):
            run()

    return repeated


def _wait(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
