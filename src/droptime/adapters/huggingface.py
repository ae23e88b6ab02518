"""A callback of the Hugging Face Trainer that schedules dropout."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import nn

from droptime.dynamics import Dynamics, GradientProbe, Watch, logged
from droptime.environment import drive
from droptime.errors import MissingExtraError, StateError
from droptime.scheduler import CurveLike, DropScheduler
from droptime.schedules import from_function
from droptime.types import Clock, Curve

try:
    from transformers import TrainerCallback
    from transformers.trainer_callback import ExportableState
except ImportError as error:
    raise MissingExtraError("transformers", "transformers", "droptime.adapters.huggingface") from (
        error
    )


class DropSchedule(TrainerCallback, ExportableState):  # type: ignore[misc]
    """Drive the dropout of a ``Trainer``'s model along curves.

    The scheduler is made when training begins, from the trainer's own count of steps, and closed
    when training ends. It steps once for each of the trainer's global steps, so never inside an
    accumulation window. Its state is in ``trainer_state.json`` of every checkpoint and is loaded by
    ``train(resume_from_checkpoint=...)``. A probe cannot be in that file: without
    ``restore_callback_states_from_checkpoint`` the one given here goes on; with it, it is refused.

    Args:
        dropout: see :class:`~droptime.scheduler.DropScheduler`. With no curve at all, the curves
            are those of the variable ``DROPTIME``: see :func:`~droptime.environment.from_env`.
        drop_path: see there.
        rates: see there.
        clock: how long an epoch and the run are; by default the trainer's. A mapping of
            :class:`~droptime.types.Clock`'s arguments does too.
        probe: measure gradients of the trainer's model with it before the first step and after each
            step that is due. Values go to the trainer's ``state.log_history`` under ``gradients/``.

    Attributes:
        drop: the scheduler of the latest training; None before the first.

    Raises (when training begins):
        StateError: the checkpoint belongs to another schedule, or was saved without one; or the
            probe measures another model.
        DroptimeError: as ``DropScheduler`` does.

    >>> schedule = DropSchedule(dropout="early(0.1, until=20%)")  # Trainer(callbacks=[schedule])
    """

    def __init__(
        self,
        *,
        dropout: CurveLike | None = None,
        drop_path: CurveLike | None = None,
        rates: Mapping[str, CurveLike] | None = None,
        clock: Clock | Mapping[str, int | None] | None = None,
        probe: GradientProbe | None = None,
    ) -> None:
        self._curves = {"dropout": dropout, "drop_path": drop_path}
        self._rates = rates
        self._clock = Clock(**clock) if isinstance(clock, Mapping) else clock
        self._watch = Watch(probe)
        self.drop: DropScheduler | None = None

    @property
    def gradients(self) -> list[Dynamics]:
        """What the probe found in the latest training, in this process."""
        return self._watch.gradients

    def on_train_begin(
        self,
        args: Any,  # noqa: ANN401
        state: Any,  # noqa: ANN401
        control: Any,  # noqa: ANN401
        *,
        model: nn.Module,
        train_dataloader: Any = None,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Make the scheduler, at the step of the checkpoint if training resumes."""
        if self.drop is not None:
            self.drop.close()
        self._watch.check(model)
        clock = self._clock or _clock(args, state, train_dataloader)
        self.drop = drive(model, **self._curves, rates=self._rates, clock=clock)
        if state.global_step:
            self.drop.load_state_dict(_saved(state, type(self).__name__))
        _log(state, self._watch.begin(self.drop.last_step))

    def on_step_end(
        self,
        args: Any,  # noqa: ANN401
        state: Any,  # noqa: ANN401
        control: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Step: the trainer has just finished an optimizer step. Measure if it is due."""
        assert self.drop is not None
        self.drop.step()
        _log(state, self._watch.step(self.drop.last_step))

    def on_train_end(
        self,
        args: Any,  # noqa: ANN401
        state: Any,  # noqa: ANN401
        control: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Give the model back as it was."""
        if self.drop is not None:
            self.drop.close()

    def state(self) -> dict[str, Any]:
        """What goes into ``trainer_state.json``: the arguments as text, the scheduler's state."""
        arguments: dict[str, Any] = {name: _text(c) for name, c in self._curves.items()}
        arguments["rates"] = {name: _text(c) for name, c in (self._rates or {}).items()}
        arguments["clock"] = asdict(self._clock) if self._clock else None
        arguments["probe"] = self._watch.name
        saved = None if self.drop is None else self.drop.state_dict()
        return {"args": arguments, "attributes": {"saved": saved}}


def _log(state: Any, found: Dynamics | None) -> None:  # noqa: ANN401
    """Add what was measured to the history, where checkpoints keep it too."""
    if found is not None:
        state.log_history.append({**logged(found), "epoch": state.epoch, "step": found.step})


def _text(curve: CurveLike | None) -> str | None:
    if curve is None or isinstance(curve, str):
        return curve
    return str(curve if isinstance(curve, Curve) else from_function(curve))


def _saved(state: Any, name: str) -> Mapping[str, Any]:  # noqa: ANN401
    """The scheduler's state in a resumed trainer's."""
    entry = state.stateful_callbacks.get(name)
    if isinstance(entry, list):
        raise StateError(f"The trainer has {len(entry)} {name} callbacks: give all curves to one.")
    saved: Mapping[str, Any] | None = (entry or {}).get("attributes", {}).get("saved")
    if saved is None:
        raise StateError(
            f"Training resumes at step {state.global_step} from a checkpoint without the state of "
            f"a {name}: it was saved by a run without this callback. Start from step 0."
        )
    return saved


def _clock(args: Any, state: Any, loader: Any) -> Clock:  # noqa: ANN401
    """The length of an epoch and of the run, as the trainer counts them."""
    try:
        batches = len(loader)
    except TypeError:  # no loader, or one without a length
        return Clock(total_steps=state.max_steps)
    per_epoch = math.ceil(batches / args.gradient_accumulation_steps)
    return Clock(total_steps=state.max_steps, steps_per_epoch=per_epoch)
