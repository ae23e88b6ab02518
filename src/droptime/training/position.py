"""Where a run stands between two steps, and its way into a checkpoint and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from droptime.errors import ConfigError
from droptime.records import EvalRow
from droptime.training.checkpoint import Checkpoint
from droptime.training.config import TrainConfig
from droptime.training.engine import Engine
from droptime.training.losses import LossWindow
from droptime.training.ranks import Ranks
from droptime.training.seeds import Streams


@dataclass
class Position:
    """What a run must remember beside its engine.

    Attributes:
        step: optimizer steps done. Data order and augmentation follow from it.
        evaluated: the last evaluation of the weights themselves.
        losses: those of the steps since the last training row.
        seconds: time spent, over all resumes.
    """

    step: int = 0
    evaluated: EvalRow | None = None
    losses: LossWindow = field(default_factory=LossWindow)
    seconds: float = 0.0


def pack(position: Position, engine: Engine, config: TrainConfig, ranks: Ranks) -> Checkpoint:
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
            "engine": engine.values(),
            "random": [of.values for of in streams],
            "losses": position.losses.values(),
            "evaluated": None if position.evaluated is None else vars(position.evaluated),
            "seconds": position.seconds,
        },
    )


def unpack(checkpoint: Checkpoint, position: Position, engine: Engine, ranks: Ranks) -> None:
    """Put engine, position and this process's random streams back to the checkpoint's moment.

    Raises:
        ConfigError: the run was trained by another number of processes.
        StateError: the drop rates belong to other curves or another model.
    """
    values: Any = checkpoint.values
    if values["processes"] != ranks.count:
        raise ConfigError(
            f"The run was trained by {values['processes']} processes, and these are "
            f"{ranks.count}: their random streams cannot go on. Start as many as before."
        )
    engine.load(checkpoint.tensors, values["engine"])
    own = f"random.{ranks.index}."
    random = {
        name.removeprefix(own): state
        for name, state in checkpoint.tensors.items()
        if name.startswith(own)
    }
    Streams(random, values["random"][ranks.index]).restore()
    position.step, position.seconds = checkpoint.step, values["seconds"]
    position.losses.load(values["losses"])
    if values["evaluated"] is not None:
        position.evaluated = EvalRow(**values["evaluated"])
