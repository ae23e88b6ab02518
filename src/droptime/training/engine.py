"""One optimizer step: forward, backward, clip, AdamW, average, and the drop rates' own step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from droptime.errors import CheckpointError
from droptime.records import JSON
from droptime.scheduler import DropScheduler
from droptime.schedules import parse
from droptime.training.config import TrainConfig
from droptime.training.optim import make_optimizer
from droptime.training.skipping import NonFiniteGuard, all_finite
from droptime.training.stream import Batch
from droptime.types import Clock, Curve


class Engine:
    """Everything that changes when a model is trained, and the one way to change it.

    Args:
        model: with its initial weights.
        config: how it is trained.
        clock: how long; resolves the curves.
        accelerator: decides device and precision.

    Raises:
        SiteError: a curve is given that the model has no place for.
    """

    def __init__(
        self, model: nn.Module, *, config: TrainConfig, clock: Clock, accelerator: Accelerator
    ) -> None:
        self.bare = model.to(accelerator.device)
        self.ema = ModelEmaV3(model, decay=config.ema_decay) if config.ema_decay else None
        self._drop = _drop_scheduler(model, config, clock)
        self._config = config
        self._accelerator = accelerator
        self.model, wrapped = accelerator.prepare(model, make_optimizer(model, config))
        # Accelerate's wrapper searches the disk for a package at each step: only fp16 needs it.
        self._optimizer = wrapped if accelerator.scaler is not None else wrapped.optimizer
        self._groups = self._optimizer.param_groups
        self._parameters = list(model.parameters())
        self._guard = None
        if config.skip_nonfinite:
            self._guard = NonFiniteGuard(model, gradients=accelerator.scaler is None)
        self.model.train()

    def update(self, batches: Iterator[Batch], *, lr: float) -> Tensor:
        """Make one optimizer step from the next micro-batches; return their mean loss.

        The loss stays on the device. Drop rates stay as they are for the whole step. Where steps
        may be skipped (``skip_nonfinite``), one that is not finite changes nothing and returns NaN.
        """
        if self._guard is not None:
            self._guard.begin()
        for group in self._groups:
            group["lr"] = lr
        losses = [self._backward(*next(batches)) for _ in range(self._config.accumulate)]
        loss = losses[0] if len(losses) == 1 else torch.stack(losses).mean()
        if self._guard is not None and not self._guard.passes(loss):
            self._optimizer.zero_grad()
            return torch.full_like(loss, math.nan)
        if self._config.clip_grad is not None:
            self._accelerator.clip_grad_norm_(self._parameters, self._config.clip_grad)
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self.ema is not None:
            self.ema.update(self.bare)
        return loss

    def _backward(self, images: Tensor, targets: Tensor) -> Tensor:
        with self._accelerator.accumulate(self.model):
            smoothing = self._config.smoothing if targets.ndim == 1 else 0.0
            loss = F.cross_entropy(self.model(images), targets, label_smoothing=smoothing)
            self._accelerator.backward(loss)
        return loss.detach()

    def rates(self) -> dict[str, float]:
        """Return the drop rates in force; empty when no curve is given."""
        return {} if self._drop is None else self._drop.get_last_rates()

    def advance_rates(self) -> None:
        """Put the drop rates of the next step in force."""
        if self._drop is not None:
            self._drop.step()

    def place(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Put other weights in, and the drop rates of a step in force.

        Raises:
            CheckpointError: the weights are of another model.
        """
        try:
            self.bare.load_state_dict(weights)
        except RuntimeError as error:
            raise CheckpointError(
                f"The weights do not fit: {' '.join(str(error).split())}"
            ) from error
        self._put_rates(step)

    def _put_rates(self, step: int) -> None:
        if self._drop is not None:
            self._drop.load_state_dict({**self._drop.state_dict(), "step": step})

    def is_finite(self) -> bool:
        """Return whether every weight is finite (one read from the device)."""
        return bool(all_finite(self._parameters))

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor a checkpoint needs, by name."""
        state: Mapping[int, Mapping[str, Tensor]] = self._optimizer.state_dict()["state"]
        moments = {
            f"{index}.{key}": value for index, of in state.items() for key, value in of.items()
        }
        return {
            **_prefixed("model", self.bare.state_dict()),
            **_prefixed("optimizer", moments),
            **_prefixed("ema", self.ema.module.state_dict() if self.ema else {}),
        }

    def values(self) -> dict[str, JSON]:
        """Return what a checkpoint needs beside the tensors."""
        scaler = self._accelerator.scaler
        return {
            "drop": None if self._drop is None else self._drop.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
        }

    def load(
        self,
        tensors: Mapping[str, Tensor],
        values: Mapping[str, Any],
        *,
        moved_to: int | None = None,
    ) -> None:
        """Go back to where :meth:`tensors` and :meth:`values` were taken.

        Args:
            tensors: of the same model.
            values: of the same moment.
            moved_to: the step to put the rates at, where curves or clock are other ones now; an
                average that was not kept so far then begins with the weights.

        Raises:
            StateError: the drop rates belong to other curves or another model.
        """
        self.bare.load_state_dict(_under("model", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _under("optimizer", tensors).items():
            index, key = name.split(".", 1)
            moments.setdefault(int(index), {})[key] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self._groups = self._optimizer.param_groups
        if self.ema is not None:
            average = _under("ema", tensors)
            begins = not average and moved_to is not None
            self.ema.module.load_state_dict(self.bare.state_dict() if begins else average)
        if moved_to is not None:
            self._put_rates(moved_to)
        elif self._drop is not None:
            self._drop.load_state_dict(values["drop"])
        if self._accelerator.scaler is not None and values["scaler"]:
            self._accelerator.scaler.load_state_dict(values["scaler"])


def _drop_scheduler(model: nn.Module, config: TrainConfig, clock: Clock) -> DropScheduler | None:
    if config.dropout is None and config.drop_path is None:
        return None
    return DropScheduler(
        model, dropout=_curve(config.dropout), drop_path=_curve(config.drop_path), clock=clock
    )


def _curve(text: str | None) -> Curve | None:
    return None if text is None else parse(text)


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}
