"""Which settings of a run may change while it is under way, and what else must be as it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from droptime.errors import CheckpointError, ConfigError
from droptime.records import JSON, Run
from droptime.training.settings.config import TrainConfig

FREE = frozenset(
    {
        "data_dir",
        "download",
        "memory_gb",
        "workers",
        "checkpoint_every",
        "checkpoint_minutes",
        "keep_checkpoints",
        "skip_nonfinite",
        "log_every",
        "eval_every",
        "trackers",
    }
)
"""Settings that move neither weights nor schedule: they may be others whenever a run goes on."""

_IMAGES = "it would train on other images"
_WEIGHTS = "the weights would not fit"
FIXED: Mapping[str, str] = {
    "data": _IMAGES,
    "train_split": _IMAGES,
    "test_split": "it would be measured on other images",
    "data_seed": _IMAGES,
    "test_fraction": _IMAGES,
    "train_limit": _IMAGES,
    "test_limit": "it would be measured on other images",
    "image_size": _IMAGES,
    "model": _WEIGHTS,
    "model_args": _WEIGHTS,
    "weights": "a run only begins with them",
    "seed": "it is what the run is known by",
}
"""Settings that a run keeps to its end, and why."""


def accept(config: TrainConfig, run: Run, *, allow_change: bool) -> dict[str, JSON]:
    """Return the settings that a run shall go on with and did not have so far.

    Raises:
        ConfigError: some must stay as they are, or move the schedule and ``allow_change`` is
            false, or the run has finished; the message lists what differs.
    """
    asked = config.to_dict()
    changed = config.differences(run.config)
    moving = [name for name in changed if name not in FREE]
    fixed = [name for name in changed if name in FIXED or name not in asked]
    if moving and (fixed or run.finished or not allow_change):
        lines = [changed[name] + _because(name) for name in moving]
        raise ConfigError(
            f"{run.path} holds a run with other settings:\n  " + "\n  ".join(lines) + "\n"
            f"{_cure(run, fixed)}"
        )
    return {name: asked[name] for name in changed}


def moves(config: TrainConfig, values: Mapping[str, Any]) -> bool:
    """Return whether a checkpoint's values are of settings that moved the schedule otherwise."""
    return any(name not in FREE for name in config.differences(values["config"]))


def check_origin(
    config: TrainConfig, values: Mapping[str, Any], history: Iterable[Mapping[str, JSON]]
) -> None:
    """Make sure that a checkpoint's values are of the run that it is found in.

    Args:
        config: the run's settings now.
        values: the checkpoint's.
        history: settings that the run had before, by name.

    Raises:
        CheckpointError: they are of settings that the run never had.
    """
    saved = values["config"]
    had = list(history)
    strange = [
        line
        for name, line in config.differences(saved).items()
        if name not in FREE
        and not any(name in before and before[name] == saved.get(name) for before in had)
    ]
    if strange:
        raise CheckpointError(
            "It is of another run, with settings that this one never had:\n  "
            + "\n  ".join(strange)
        )


def check_place(
    values: Mapping[str, Any], *, images: int, total_steps: int, step: int, processes: int | None
) -> None:
    """Make sure that a checkpoint's step is one of this run's.

    Args:
        values: the checkpoint's.
        images: of the training set.
        total_steps: of the whole run.
        step: of the checkpoint.
        processes: how many go on; None: as many as there are.

    Raises:
        ConfigError: the training set has another size, the run is to be shorter than it is, or
            other processes would draw other masks.
    """
    if processes not in (None, values["processes"]):
        raise ConfigError(
            f"The run was trained in {values['processes']} processes and is to go on in "
            f"{processes}, which would draw other augmentations and masks. Start "
            f"{values['processes']}, or let it go on: allow_change=True (--allow-change)."
        )
    saved = values["train_images"]
    if saved != images:
        raise ConfigError(
            f"The training set had {saved} images when the run was saved and has {images} now: "
            "restore it, or begin another run from these weights (weights=RUN)."
        )
    if step > total_steps:
        raise ConfigError(
            f"The run has made {step} steps, and with these settings has {total_steps} in all: "
            "give it more epochs, or begin another."
        )


def _because(name: str) -> str:
    return f" ({FIXED[name]})" if name in FIXED else ""


def _cure(run: Run, fixed: list[str]) -> str:
    if run.finished:
        return f"It has finished. Choose another directory; weights={run.path} begins with its own."
    if fixed:
        return f"{', '.join(fixed)} cannot change within a run: choose another directory."
    return (
        "Give it the same settings to go on, choose another directory, or let it go on with "
        "these: allow_change=True (--allow-change)."
    )
