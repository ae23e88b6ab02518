"""What a run tells whoever listens: how it began, then every row it records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from droptime.records import Row


@dataclass(frozen=True)
class Started:
    """A run begins or goes on.

    Attributes:
        path: the run directory.
        first_step: steps already done; 0 for a new run.
        total_steps: steps of the whole run.
        steps_per_epoch: optimizer steps in one epoch.
        train_images: images trained on.
        test_images: images tested on.
        classes: number of classes.
        parameters: trainable parameters of the model.
        device: where it trains.
        processes: how many train together.
    """

    path: Path
    first_step: int
    total_steps: int
    steps_per_epoch: int
    train_images: int
    test_images: int
    classes: int
    parameters: int
    device: str
    processes: int = 1


@dataclass(frozen=True)
class Saved:
    """A checkpoint was written because the run was asked to stop.

    Attributes:
        step: steps done.
        path: its file.
    """

    step: int
    path: Path


Event: TypeAlias = Started | Saved | Row
Listener: TypeAlias = Callable[[Event], None]


def nobody(event: Event) -> None:
    """Listen to nothing."""
