"""A Lightning callback that schedules dropout."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from droptime.dynamics import Dynamics, GradientProbe, Watch, logged
from droptime.environment import drive
from droptime.errors import MissingExtraError, StateError
from droptime.scheduler import CurveLike, DropScheduler
from droptime.types import Clock

try:
    from lightning.pytorch import Callback
except ImportError:
    try:
        from pytorch_lightning import Callback
    except ImportError as error:
        raise MissingExtraError("lightning", "lightning", "droptime.adapters.lightning") from error


class DropSchedule(Callback):  # type: ignore[misc]
    """Drive the dropout of a ``LightningModule`` along curves.

    The scheduler is made when training starts, from the trainer's own count of steps, and closed
    when the fit ends. It steps once after each batch in which an optimizer stepped, so never inside
    an accumulation window. Its state is in the trainer's checkpoints.

    Args:
        dropout: see :class:`~droptime.scheduler.DropScheduler`. With no curve at all, the curves
            are those of the variable ``DROPTIME``: see :func:`~droptime.environment.from_env`.
        drop_path: see there.
        rates: see there.
        clock: how long an epoch and the run are; by default asked of the trainer
            (``estimated_stepping_batches``). Give it if the trainer cannot know: a loader without
            a length, or accumulation that changes.
        probe: measure gradients with it before the first step and after each step that is due. Its
            model is the module or a part of it. Values go to the trainer's loggers under
            ``gradients/``.

    Attributes:
        drop: the scheduler of the latest fit; None before the first.

    Raises (when training starts):
        StateError: the checkpoint belongs to another schedule, or was saved without one; or the
            probe measures another model.
        DroptimeError: as ``DropScheduler`` does.

    >>> schedule = DropSchedule(dropout="early(0.1, until=20%)")  # Trainer(callbacks=[schedule])
    """

    drop: DropScheduler | None = None
    _saved: Mapping[str, Any] | None = None
    _seen: int = 0

    def __init__(
        self,
        *,
        dropout: CurveLike | None = None,
        drop_path: CurveLike | None = None,
        rates: Mapping[str, CurveLike] | None = None,
        clock: Clock | None = None,
        probe: GradientProbe | None = None,
    ) -> None:
        self._curves = {"dropout": dropout, "drop_path": drop_path}
        self._rates, self._clock, self._watch = rates, clock, Watch(probe)

    @property
    def gradients(self) -> list[Dynamics]:
        """What the probe found in the latest fit, in this process."""
        return self._watch.gradients

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ANN401
        """Forget what an earlier call of the trainer loaded."""
        self._saved = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ANN401
        """Make the scheduler; its first rates, or those of the checkpoint, are in force."""
        # Not in on_fit_start: asking for the number of steps sets up the loaders, which must
        # happen after the trainer has restored their states.
        self._seen = trainer.global_step
        if self._seen and self._saved is None:
            raise StateError(
                f"The trainer goes on from step {self._seen}, but no state of DropSchedule came "
                "with it: its checkpoint was saved without this callback, or the same trainer "
                "fits again. Start from step 0 with a new Trainer."
            )
        self._watch.check(pl_module)
        clock = self._clock or _clock(trainer)
        self.drop = drive(pl_module, **self._curves, rates=self._rates, clock=clock)
        if self._saved is not None:
            self.drop.load_state_dict(self._saved)
        _log(trainer, self._watch.begin(self.drop.last_step))

    def on_train_batch_end(
        self,
        trainer: Any,  # noqa: ANN401
        pl_module: Any,  # noqa: ANN401
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Step if an optimizer did, and measure if that step is due."""
        assert self.drop is not None
        if trainer.global_step > self._seen:
            self._seen = trainer.global_step
            self.drop.step()
            _log(trainer, self._watch.step(self.drop.last_step))

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ANN401
        """Give the model back as it was."""
        self._close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ANN401
        """Give the model back as it was."""
        self._close()

    def state_dict(self) -> dict[str, Any]:
        """The scheduler's state; empty before the first fit."""
        return {} if self.drop is None else self.drop.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep a saved state for the fit about to start."""
        self._saved = state_dict

    def _close(self) -> None:
        if self.drop is not None:
            self.drop.close()


def _log(trainer: Any, found: Dynamics | None) -> None:  # noqa: ANN401
    """Give what was measured to the trainer's loggers, at its step."""
    for logger in trainer.loggers if found is not None else ():
        assert found is not None
        logger.log_metrics(logged(found), step=found.step)


def _clock(trainer: Any) -> Clock:  # noqa: ANN401
    """The length of an epoch and of the run, as far as the trainer knows them."""
    total, batches = trainer.estimated_stepping_batches, trainer.num_training_batches
    return Clock(
        total_steps=int(total) if 0 < total < math.inf else None,
        steps_per_epoch=math.ceil(batches / trainer.accumulate_grad_batches)
        if 0 < batches < math.inf
        else None,
    )
