"""The steps of a pytorch-ignite engine."""

from __future__ import annotations

from typing import Any

from droptime.errors import ConfigError, MissingExtraError, StateError
from droptime.scheduler import DropScheduler

try:
    from ignite.engine import Events
except ImportError as error:
    raise MissingExtraError("pytorch-ignite", "ignite", "droptime.adapters.ignite") from error


def attach(drop: DropScheduler, engine: Any, *, accumulate: int = 1) -> None:  # noqa: ANN401
    """Step a scheduler after each optimizer step of a trainer engine.

    Attach before the handler that saves checkpoints, so that a checkpoint holds the step reached;
    save the scheduler as any other object: ``to_save={"drop": drop, ...}``.

    Args:
        drop: the scheduler.
        engine: the engine whose iterations train.
        accumulate: iterations for one optimizer step, as ``gradient_accumulation_steps`` of
            ``create_supervised_trainer``, which counts them across epochs.

    Raises:
        ConfigError: ``accumulate`` is not at least 1.
        StateError (when the engine starts): engine and scheduler are not at the same step: only
            one of them was loaded, or the engine runs again.
    """
    if accumulate < 1:
        raise ConfigError(f"attach(accumulate={accumulate!r}): expected at least 1.")

    def check() -> None:
        steps = engine.state.iteration // accumulate
        if steps != drop.last_step:
            raise StateError(
                f"The engine starts at iteration {engine.state.iteration}, which is optimizer step "
                f"{steps}, but the DropScheduler is at step {drop.last_step}: save and load both."
            )

    engine.add_event_handler(Events.STARTED, check)
    engine.add_event_handler(Events.ITERATION_COMPLETED(every=accumulate), drop.step)
