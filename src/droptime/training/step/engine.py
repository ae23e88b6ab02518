"""One optimizer step: forward, backward, clip, AdamW, average, and the drop rates' own step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from droptime.records import JSON
from droptime.scheduler import DropScheduler
from droptime.schedules import parse
from droptime.training.data.stream import Batch
from droptime.training.processes.ranks import Ranks
from droptime.training.processes.spread import (
    all_finite,
    like,
    passes,
    running_statistics,
    spread,
    whole,
)
from droptime.training.settings.config import TrainConfig
from droptime.training.step.average import WeightAverage
from droptime.training.step.fit import check_fit
from droptime.training.step.optim import make_optimizer
from droptime.training.step.skipping import NonFiniteGuard
from droptime.types import Clock, Curve

_ALONE = Ranks()


class Engine:
    """Everything that changes when a model is trained, and the one way to change it.

    Args:
        model: with its initial weights.
        config: how it is trained.
        clock: how long; resolves the curves.
        accelerator: decides device and precision.
        ranks: the processes that train together.

    Raises:
        SiteError: a curve is given that the model has no place for.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        config: TrainConfig,
        clock: Clock,
        accelerator: Accelerator,
        ranks: Ranks = _ALONE,
    ) -> None:
        self._layout = torch.channels_last if config.channels_last else torch.preserve_format
        self.bare: Any = model.to(accelerator.device).to(memory_format=self._layout)
        self._drop = drop_scheduler(model, config, clock)
        self._config, self._ranks = config, ranks
        self._accelerator = accelerator
        self.model = spread(model, accelerator, shard=config.shard)
        self.ema = WeightAverage(model, decay=config.ema_decay) if config.ema_decay else None
        wrapped = accelerator.prepare(make_optimizer(model, config))
        # Accelerate's wrapper searches the disk for a package at each step: only fp16 needs it.
        self._optimizer = wrapped if accelerator.scaler is not None else wrapped.optimizer
        self._groups = self._optimizer.param_groups
        self._parameters = list(model.parameters())
        self._statistics = running_statistics(model)
        self._optimised = [p for group in self._groups for p in group["params"]]
        self._guard = None
        if config.skip_nonfinite:
            self._guard = NonFiniteGuard(
                model, gradients=accelerator.scaler is None, agree=ranks.every
            )
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
        count = self._config.accumulate
        losses = [self._backward(*next(batches), last=i + 1 == count) for i in range(count)]
        loss = losses[0] if len(losses) == 1 else torch.stack(losses).mean()
        if self._guard is not None and not self._guard.passes(loss):
            self._optimizer.zero_grad()
            return torch.full_like(loss, math.nan)
        if self._config.clip_grad is not None:
            self._accelerator.clip_grad_norm_(self._parameters, self._config.clip_grad)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._ranks.follow_first(self._statistics)
        if self.ema is not None:
            self.ema.update()
        return loss

    def _backward(self, images: Tensor, targets: Tensor, *, last: bool) -> Tensor:
        images = images.to(memory_format=self._layout)
        with passes(self.model, last=last):
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
        self._load_weights(weights)
        self._put_rates(step)

    def _put_rates(self, step: int) -> None:
        if self._drop is not None:
            self._drop.load_state_dict({**self._drop.state_dict(), "step": step})

    def versions(self) -> dict[str, AbstractContextManager[None]]:
        """Return contexts in which the model holds its own weights (raw), their average (ema)."""
        own: dict[str, AbstractContextManager[None]] = {"raw": nullcontext()}
        return own if self.ema is None else {**own, "ema": self.ema.in_place()}

    def weights(self) -> dict[str, dict[str, Tensor]]:
        """Return the weights (raw) and their average (ema), whole; only the first process's."""
        own = {"raw": self.bare.state_dict()}
        kept = own if self.ema is None else {**own, "ema": self.ema.state_dict()}
        return {kind: whole(tensors, keep=self._ranks.first) for kind, tensors in kept.items()}

    def is_finite(self) -> bool:
        """Return whether every weight is finite (one read from the device)."""
        return self._ranks.every(all_finite(self._parameters))

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor a checkpoint needs, by name; only the first process has them."""
        state: Mapping[int, Mapping[str, Tensor]] = self._optimizer.state_dict()["state"]
        moments = {
            f"{index}.{key}": value for index, of in state.items() for key, value in of.items()
        }
        parts = {
            **_prefixed("model", self.bare.state_dict()),
            **_prefixed("optimizer", moments),
            **_prefixed("ema", self.ema.state_dict() if self.ema else {}),
        }
        return whole(parts, keep=self._ranks.first)

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
            CheckpointError: the tensors are of another model.
            StateError: the drop rates belong to other curves or another model.
        """
        self._load_weights(_under("model", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in self._fitting_moments(_under("optimizer", tensors)).items():
            index, key = name.split(".", 1)
            part = like(value, self._optimised[int(index)]) if value.ndim else value
            moments.setdefault(int(index), {})[key] = part
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self._groups = self._optimizer.param_groups
        if self.ema is not None:
            average = _under("ema", tensors)
            begins = not average and moved_to is not None
            whole_average = _under("model", tensors) if begins else average
            self.ema.load_state_dict(self._parts(whole_average))
        if moved_to is not None:
            self._put_rates(moved_to)
        elif self._drop is not None:
            self._drop.load_state_dict(values["drop"])
        if self._accelerator.scaler is not None and values["scaler"]:
            self._accelerator.scaler.load_state_dict(values["scaler"])

    def _load_weights(self, weights: Mapping[str, Tensor]) -> None:
        self.bare.load_state_dict(self._parts(weights))

    def _parts(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return whole weights as the model keeps them."""
        own = self.bare.state_dict()
        check_fit(weights, own)
        return {name: like(weights[name], own[name]) for name in sorted(weights)}

    def _fitting_moments(self, moments: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the moments as they are; a parameter without a gradient so far has none."""
        have = {name.partition(".")[0] for name in moments}
        own = {
            f"{index}.{key}": torch.zeros(()) if key == "step" else parameter
            for index, parameter in enumerate(self._optimised)
            for key in ("step", "exp_avg", "exp_avg_sq")
            if str(index) in have
        }
        check_fit(moments, own)
        return moments


def drop_scheduler(model: nn.Module, config: TrainConfig, clock: Clock) -> DropScheduler | None:
    """Drive the model's rates as the settings say; None where they give no curve.

    Raises:
        SiteError: the model has no place for a curve, or no branch that can be skipped.
    """
    if config.dropout is None and config.drop_path is None:
        return None
    return DropScheduler(
        model,
        dropout=_curve(config.dropout),
        drop_path=_curve(config.drop_path),
        clock=clock,
        skip="fixed" if config.skip == "fixed" else config.skip == "yes",
    )


def _curve(text: str | None) -> Curve | None:
    return None if text is None else parse(text)


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those of a prefix without it, sorted: a file has them in another order each time."""
    start = f"{prefix}."
    return {name[len(start) :]: tensors[name] for name in sorted(tensors) if name.startswith(start)}
