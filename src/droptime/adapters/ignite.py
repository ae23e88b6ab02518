"""The steps of a pytorch-ignite engine."""

from __future__ import annotations

from typing import Any

from droptime.dynamics import Dynamics, GradientProbe, Watch, logged
from droptime.errors import ConfigError, MissingExtraError, StateError
from droptime.scheduler import DropScheduler

try:
    from ignite.engine import Events
except ImportError as error:
    raise MissingExtraError("pytorch-ignite", "ignite", "droptime.adapters.ignite") from error


def attach(
    drop: DropScheduler,
    engine: Any,  # noqa: ANN401
    *,
    accumulate: int = 1,
    probe: GradientProbe | None = None,
) -> list[Dynamics]:
    """Step a scheduler after each optimizer step of a trainer engine, and measure gradients.

    Attach before the handler that saves checkpoints, so that a checkpoint holds the step reached;
    save the scheduler as any other object: ``to_save={"drop": drop, ...}``.

    Args:
        drop: the scheduler.
        engine: the engine whose iterations train.
        accumulate: iterations for one optimizer step, as ``gradient_accumulation_steps`` of
            ``create_supervised_trainer``, which counts them across epochs.
        probe: measure gradients with it before the first step and after each step that is due.
            Values are in ``engine.state.metrics`` under
            ``gradients/``, each until the next.

    Returns:
        What the probe found in the latest training, filled as the engine runs.

    Raises:
        ConfigError: ``accumulate`` is not at least 1, or the probe is none.
        StateError (when the engine starts): engine and scheduler are not at the same step: only
            one of them was loaded, or the engine runs again.
    """
    if accumulate < 1:
        raise ConfigError(f"attach(accumulate={accumulate!r}): expected at least 1.")
    watch = Watch(probe)

    def begin() -> None:
        steps = engine.state.iteration // accumulate
        if steps != drop.last_step:
            raise StateError(
                f"The engine starts at iteration {engine.state.iteration}, which is optimizer step "
                f"{steps}, but the DropScheduler is at step {drop.last_step}: save and load both."
            )
        _log(engine, watch.begin(drop.last_step))

    def step() -> None:
        drop.step()
        _log(engine, watch.step(drop.last_step))

    engine.add_event_handler(Events.STARTED, begin)
    engine.add_event_handler(Events.ITERATION_COMPLETED(every=accumulate), step)
    return watch.gradients


def _log(engine: Any, found: Dynamics | None) -> None:  # noqa: ANN401
    if found is not None:
        engine.state.metrics.update(logged(found))
