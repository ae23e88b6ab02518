"""An entry point that trains nothing: it writes the records a training would, at once or slowly.

Its config says how it behaves: ``epochs`` rows of steps, ``pause`` seconds between them,
``fails`` (arm -> ``"raise"`` or a signal's number to die of), ``meet`` (wait for that many runs
to be under way). Each call adds its process and what it began at to ``calls.txt``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from droptime.cores import cores
from droptime.records import EvalRow, RunWriter, StepRow, Summary, read_run


def train(config: Mapping[str, Any], out: str) -> None:
    run = Path(out)
    done = len(read_run(run).steps) if (run / "config.json").exists() else 0
    _note(run, done)
    _wait_for_others(run, config.get("meet", 1))
    _maybe_fail(config)
    opened = RunWriter.resume(run, step=done - 1) if done else RunWriter.create(run, config)
    with opened as writer:
        for step in range(done, config["epochs"]):
            writer.append(StepRow(step, float(step + 1), 2.0 / (step + 1), 0.1, _rates(config)))
            time.sleep(config.get("pause", 0.0))
        final = EvalRow(config["epochs"], float(config["epochs"]), 1.0, 0.5, 1.1, 0.4)
        writer.append(final)
        writer.finish(Summary(config["epochs"], 1.0, final, _surroundings()))


def calls(study: Path) -> dict[str, list[tuple[int, int]]]:
    """Run name -> (process, step it began at) of each call that trained it."""
    found = {}
    for run in sorted((study / "runs").iterdir()):
        lines = (run / "calls.txt").read_text().splitlines()
        found[run.name] = [(int(line.split()[0]), int(line.split()[1])) for line in lines]
    return found


def _note(run: Path, done: int) -> None:
    run.mkdir(parents=True, exist_ok=True)
    with (run / "calls.txt").open("a") as file:
        file.write(f"{os.getpid()} {done}\n")
    print(f"training {run.name}")  # noqa: T201 - what a run prints goes to its log


def _wait_for_others(run: Path, number: int) -> None:
    deadline = time.monotonic() + 20
    while len(list(run.parent.glob("*/calls.txt"))) < number:
        if time.monotonic() > deadline:
            raise TimeoutError("the other runs never began")
        time.sleep(0.01)


def _maybe_fail(config: Mapping[str, Any]) -> None:
    how = config.get("fails", {}).get(config["arm"])
    if how == "raise":
        raise ValueError(f"arm {config['arm']} cannot be trained")
    if how is not None:
        os.kill(os.getpid(), how)


def _rates(config: Mapping[str, Any]) -> dict[str, float]:
    return {kind: 0.25 for kind in ("dropout", "drop_path") if kind in config}


def _surroundings() -> dict[str, str]:
    return {
        "threads": os.environ.get("OMP_NUM_THREADS", "unset"),
        "cores": str(cores()),
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", "unset"),
    }
