"""Where a run stands between two steps, and its way into a checkpoint and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from droptime.records import EvalRow
from droptime.training.processes.ranks import Ranks
from droptime.training.saving.checkpoint import Checkpoint
from droptime.training.seeds import Streams
from droptime.training.settings.config import TrainConfig
from droptime.training.step.engine import Engine
from droptime.training.step.losses import LossWindow


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
    position: Position,
    engine: Engine,
    config: TrainConfig,
    ranks: Ranks,
    *,
    train_images: int,
    rows: str,
) -> Checkpoint:
    """Note everything at this moment: weights, optimizer, averages, rates, random streams.

    Every process takes part; only the first one's checkpoint has the tensors of the engine.
    """
    streams = ranks.gather(Streams.capture())
    random = {
        f"random.{rank}.{name}": state
        for rank, of in enumerate(streams)
        for name, state in of.tensors.items()
    }
    return Checkpoint(
        position.step,
        tensors={**engine.tensors(), **random},
        values={
            "config": config.to_dict(),
            "processes": ranks.count,
            "train_images": train_images,
            "engine": engine.values(),
            "random": [of.values for of in streams],
            "losses": position.losses.values(),
            "evaluated": None if position.evaluated is None else vars(position.evaluated),
            "seconds": position.seconds,
            "skipped": position.skipped,
            "rows": rows,
        },
    )


def unpack(
    checkpoint: Checkpoint, position: Position, engine: Engine, ranks: Ranks, *, moved: bool = False
) -> None:
    """Put engine, position and this process's random streams back to the checkpoint's moment.

    Args:
        checkpoint: what :func:`pack` noted.
        position: of a run that has not begun.
        engine: of the same model.
        ranks: the processes that go on.
        moved: the schedule is another; it goes on from the same step.

    Raises:
        StateError: the drop rates belong to other curves or another model.
    """
    values: Any = checkpoint.values
    engine.load(checkpoint.tensors, values["engine"], moved_to=checkpoint.step if moved else None)
    own = f"random.{ranks.index}."
    random = {
        name.removeprefix(own): state
        for name, state in checkpoint.tensors.items()
        if name.startswith(own)
    }
    if ranks.index < len(values["random"]):
        Streams(random, values["random"][ranks.index]).restore()
    position.step, position.seconds = checkpoint.step, float(values["seconds"])
    position.skipped = int(values["skipped"])
    position.losses.load([float(loss) for loss in values["losses"]])
    if values["evaluated"] is not None:
        position.evaluated = EvalRow(**values["evaluated"])
