"""AdamW with the usual exceptions from weight decay, and the learning rate of every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from timm.optim import param_groups_weight_decay
from torch import nn
from torch.optim import AdamW

from droptime.training.settings.config import TrainConfig
from droptime.types import Clock, Step


@dataclass(frozen=True, kw_only=True)
class WarmupCosine:
    """Linear warmup, then a cosine: a pure function of the step, with no state to save.

    For step i < W:      lr(i) = peak * i / (W - 1)            (from exactly 0 to exactly peak)
    from step W on:      lr(i) = floor + (peak - floor) / 2 * (1 + cos(pi * (i - W) / (N - W)))

    with W warmup and N total steps (Liu et al. 2023, the recipes of *Dropout Reduces
    Underfitting*). A warmup of one step is a step at lr 0.

    >>> lr = WarmupCosine(peak=1.0, floor=0.0, warmup=3, total=7)
    >>> [round(lr(step), 3) for step in range(7)]
    [0.0, 0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """

    peak: float
    floor: float
    warmup: int
    total: int

    @classmethod
    def of(cls, config: TrainConfig, clock: Clock) -> WarmupCosine:
        """Resolve the run's settings by its clock.

        Raises:
            ClockError: the warmup is longer than the run.
        """
        assert clock.total_steps is not None
        warmup = clock.steps(config.warmup)
        return cls(peak=config.lr, floor=config.min_lr, warmup=warmup, total=clock.total_steps)

    def __call__(self, step: Step) -> float:
        """Return the learning rate of a 0-based optimizer step."""
        if step < self.warmup:
            return self.peak * step / max(self.warmup - 1, 1)
        done = (step - self.warmup) / max(self.total - self.warmup, 1)
        return self.floor + (self.peak - self.floor) / 2 * (1 + math.cos(math.pi * done))


def make_optimizer(model: nn.Module, config: TrainConfig) -> AdamW:
    """Make a fused AdamW; what :func:`decay_groups` spares is not decayed."""
    groups = decay_groups(model, weight_decay=config.weight_decay)
    betas = (config.beta1, config.beta2)
    return AdamW(groups, lr=config.lr, betas=betas, eps=config.eps, fused=True)


def decay_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Split the parameters: 1-D ones, biases and what the model names are not decayed."""
    spared: set[str] = getattr(model, "no_weight_decay", set)()
    groups: list[dict[str, Any]] = param_groups_weight_decay(
        model, weight_decay=weight_decay, no_weight_decay_list=spared
    )
    return groups
