"""Where a run stands between two steps, and its way into a checkpoint and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from droptime.records import EvalRow
from droptime.training.checkpoint import Checkpoint
from droptime.training.config import TrainConfig
from droptime.training.engine import Engine
from droptime.training.losses import LossWindow
from droptime.training.seeds import Streams


@dataclass
class Position:
    """What a run must remember beside its engine.

    Attributes:
        step: optimizer steps done. Data order and augmentation follow from it.
        evaluated: the last evaluation of the weights themselves.
        losses: those of the steps since the last training row.
        seconds: time spent, over all resumes.
        skipped: steps left out so far because they were not finite, those of ``losses`` not yet
            counted.
    """

    step: int = 0
    evaluated: EvalRow | None = None
    losses: LossWindow = field(default_factory=LossWindow)
    seconds: float = 0.0
    skipped: int = 0


def pack(
    position: Position, engine: Engine, config: TrainConfig, *, train_images: int
) -> Checkpoint:
    """Note everything at this moment: weights, optimizer, averages, rates, random streams."""
    streams = Streams.capture()
    random = {f"random.{name}": state for name, state in streams.tensors.items()}
    return Checkpoint(
        position.step,
        tensors={**engine.tensors(), **position.losses.tensors(), **random},
        values={
            "config": config.to_dict(),
            "train_images": train_images,
            "engine": engine.values(),
            "random": streams.values,
            "evaluated": None if position.evaluated is None else vars(position.evaluated),
            "seconds": position.seconds,
            "skipped": position.skipped,
        },
    )


def unpack(
    checkpoint: Checkpoint, engine: Engine, device: torch.device, *, moved: bool = False
) -> Position:
    """Put engine and random streams back to the checkpoint's moment; return the position.

    Args:
        checkpoint: what :func:`pack` noted.
        engine: of the same model.
        device: where losses are kept.
        moved: the schedule is another; it goes on from the same step.

    Raises:
        StateError: the drop rates belong to other curves or another model.
    """
    values: Any = checkpoint.values
    engine.load(checkpoint.tensors, values["engine"], moved_to=checkpoint.step if moved else None)
    losses = LossWindow()
    losses.load(checkpoint.tensors, device)
    random = {
        name.removeprefix("random."): state
        for name, state in checkpoint.tensors.items()
        if name.startswith("random.")
    }
    Streams(random, values["random"]).restore()
    evaluated = None if values["evaluated"] is None else EvalRow(**values["evaluated"])
    return Position(checkpoint.step, evaluated, losses, values["seconds"], values.get("skipped", 0))
