"""``droptime report``: a study's report made again from its records, or a look at one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from droptime.errors import RecordError
from droptime.records import Run, read_run


def report(
    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")],
) -> None:
    """Make a study's report again from its records, and print its table and verdict.

    Nothing is trained. Writes report.html, report.md, results.csv and figures/ into the folder,
    and dynamics.csv where gradients were measured. Given the folder of a single run, prints how
    far it came and what it measured of its gradients.

    Args:
        folder: a study's folder, such as runs/digits, or a run's.
    """
    console = Console(highlight=False, soft_wrap=False)
    if (folder / "study.json").is_file():
        _report_study(console, folder)
    elif (folder / "config.json").is_file():
        _describe_run(console, read_run(folder))
    else:
        raise RecordError(
            f"{folder} holds neither a study (study.json) nor a run (config.json). "
            "Make a study with: droptime study digits"
        )


def _report_study(console: Console, folder: Path) -> None:
    from droptime.report import build, render_table

    made = build(folder)
    console.print(render_table(made.study))
    console.print(f"\nThe whole report: {made.page}", markup=False, soft_wrap=True)


def _describe_run(console: Console, run: Run) -> None:
    """Print one run: how far it came and what its raw weights measured last."""
    measured = [row for row in run.evals if row.weights == "raw"]
    last = run.summary.final if run.summary else (measured[-1] if measured else None)
    state = f"finished after {run.summary.steps} steps" if run.summary else _unfinished(run)
    console.print(f"Run {run.path}: {state}.", markup=False, soft_wrap=True)
    for kind in ("dropout", "drop_path"):
        if run.config.get(kind):
            console.print(f"{kind}: {run.config[kind]}", markup=False)
    if last is not None:
        console.print(
            f"Measured after step {last.step} ({last.weights} weights, drop off): training loss "
            f"{last.train_loss:.4f} nats, test accuracy {last.test_accuracy:.2%}.",
            soft_wrap=True,
        )
    if run.dynamics:
        from droptime.cli.gradients_table import gradients_table

        console.print(gradients_table(run.dynamics))
    console.print("One run shows no spread: compare arms over seeds with droptime study.")


def _unfinished(run: Run) -> str:
    if run.last_step is None:
        return "not finished, no step recorded yet"
    return f"not finished, last seen at step {run.last_step}"
