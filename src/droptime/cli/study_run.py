"""What ``droptime study`` does once it knows its plan: train, tell, report."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from rich.console import Console

from droptime.cores import cores
from droptime.records import JSON
from droptime.report import build, render_table
from droptime.study import Failure, Grid, displayed, launch, locked, settle

ENTRY = "droptime.training:train_from_dict"


def run_study(grid: Grid, folder: Path, *, workers: int | None = None) -> None:
    """Train what is not trained yet, then print the comparison and write the report.

    Exits with status 1 if a run failed, after reporting on the others.

    Raises:
        ConfigError: the folder holds another study.
        RecordError: another process is training it.
        KeyboardInterrupt: after saying how to continue.
    """
    console = Console(highlight=False)
    with locked(folder):
        failures = _train(console, grid, folder, workers=workers)
        _tell_failures(console, failures)
        _report(console, folder)
    if failures:
        sys.exit(1)


def _train(
    console: Console, grid: Grid, folder: Path, *, workers: int | None
) -> tuple[Failure, ...]:
    jobs, gpus = grid.jobs(folder), _gpus(grid.base)
    workers = (len(gpus) or cores()) if workers is None else workers
    _announce(console, grid, folder, workers=workers)
    begun = time.monotonic()
    try:
        with displayed(jobs, console) as watch:
            failures = launch(
                jobs, entry=ENTRY, logs=folder / "logs", workers=workers, gpus=gpus, watch=watch
            )
    except KeyboardInterrupt:
        done = sum(job.finished for job in jobs)
        console.print(
            f"\nStopped with {done} of {len(jobs)} runs finished. "
            "Run the same command again to continue."
        )
        raise
    minutes, seconds = divmod(round(time.monotonic() - begun), 60)
    console.print(f"Trained in {minutes}:{seconds:02}.")
    return failures


def _announce(console: Console, grid: Grid, folder: Path, *, workers: int) -> None:
    jobs = grid.jobs(folder)
    for added in settle(folder, grid, command=shlex.join(["droptime", *sys.argv[1:]])):
        console.print(f"{folder}: {added}.", markup=False)
    done = sum(job.finished for job in jobs)
    before = f", {done} of them finished before" if done else ""
    console.print(
        f"Study {grid.name}: {len(grid.arms)} arms x {len(grid.seeds)} seeds = {len(jobs)} runs"
        f"{before}; {workers} at a time, into {folder}",
        markup=False,
        soft_wrap=True,
    )


def _tell_failures(console: Console, failures: Sequence[Failure]) -> None:
    """Name the runs that failed, those with one error together."""
    alike: dict[str, list[Failure]] = defaultdict(list)
    for failure in failures:
        alike[failure.error].append(failure)
    for error, failed in alike.items():
        names = ", ".join(failure.job.name for failure in failed)
        console.print(f"[red]failed:[/red] {names}", soft_wrap=True)
        console.print(f"  {error}", markup=False, soft_wrap=True)
        console.print(f"  (all it printed: {failed[0].log})", markup=False, soft_wrap=True)


def _report(console: Console, folder: Path) -> None:
    """Write the report, then print its table, verdict and advice, and where it is."""
    report = build(folder)
    console.print()
    console.print(render_table(report.study))
    console.print(f"\nThe whole report: {report.page}", markup=False, soft_wrap=True)


def _gpus(base: Mapping[str, JSON]) -> tuple[str, ...]:
    """Return the GPUs that training may use, as CUDA_VISIBLE_DEVICES names them.

    CUDA ends that list at an entry that is no GPU, such as the -1 which hides them all.
    """
    if base.get("device") == "cpu":
        return ()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = (name.strip() for name in visible.split(","))
        return tuple(takewhile(lambda name: name and not name.startswith("-"), names))
    import torch

    return tuple(map(str, range(torch.cuda.device_count())))
