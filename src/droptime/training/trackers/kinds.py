"""What each tracker is told: where to write, what a run is called there, and how it ended."""

from __future__ import annotations

import os
import secrets
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker
from filelock import FileLock

from droptime.records import Row, read_run

_PROJECT = "droptime"


def begin(name: str, out: Path, known: str | None) -> GeneralTracker:
    """Start the tracker of a run.

    Args:
        name: of the tracker.
        out: the run directory; its name is the run's.
        known: what the tracker calls this run, which then goes on; none: a new one.
    """
    project = os.environ.get("WANDB_PROJECT", _PROJECT) if name == "wandb" else _PROJECT
    with _alone() if name == "mlflow" else nullcontext():
        tracker = LOGGER_TYPE_TO_CLASS[name](project, **_options(name, out, known))
        if hasattr(tracker, "start"):  # older releases of Accelerate start what they make
            tracker.start()
    return tracker


def _alone() -> AbstractContextManager[object]:
    """Keep a user's other processes out: two that make one MLflow database break it for good."""
    user = getattr(os, "getuid", int)()
    return FileLock(Path(gettempdir()) / f"droptime-mlflow-{user}.lock")


def _options(name: str, out: Path, known: str | None) -> dict[str, Any]:
    title = out.resolve().name
    if name == "tensorboard":
        return {"logging_dir": out, **({"purge_step": _next_step(out)} if known else {})}
    if name == "mlflow":
        return {"run_id": known} if known else {"run_name": title}
    if name == "trackio":  # knows a run by its name alone
        again = {"name": known, "resume": "allow"}
        return again if known else {"name": f"{title}-{secrets.token_hex(2)}"}
    place = {} if "WANDB_DIR" in os.environ else {"dir": str(out)}
    if known:
        return {"id": known, "resume": "allow", **place}
    return place if "WANDB_NAME" in os.environ else {"name": title, **place}


def id_of(tracker: GeneralTracker) -> str:
    """Return what a tracker that has started calls the run."""
    run: Any = tracker.tracker
    if tracker.name == "mlflow":
        return str(run.info.run_id)
    if tracker.name == "wandb":
        return str(run.id)
    return str(run.name) if tracker.name == "trackio" else _PROJECT


def takes_settings_again(name: str) -> bool:
    """Whether a run that goes on may be given its settings once more.

    MLflow refuses a setting that changed, and TensorBoard would show the run twice.
    """
    return name in ("wandb", "trackio")


def end(tracker: GeneralTracker, *, finished: bool) -> None:
    """Have a tracker write what it holds, and mark a run that has not finished as failed."""
    if not finished and tracker.name == "mlflow":
        import_module("mlflow").end_run("FAILED")
    elif not finished and tracker.name == "wandb":
        tracker.tracker.finish(exit_code=1)
    tracker.finish()


def _next_step(out: Path) -> int:
    """Return the step that a run goes on from: its record was cut to those before."""
    run = read_run(out)
    rows: list[Row] = [*run.steps, *run.evals, *run.dynamics]
    return 1 + max((row.step for row in rows), default=-1)
