"""What one measurement found: plain frozen values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from droptime.dynamics.noise import NoiseScale
from droptime.dynamics.reference import ReferenceSummary
from droptime.dynamics.values import Direction, Value


@dataclass(frozen=True, kw_only=True)
class Part:
    """Dynamics of the whole model or of one group of its parameters, at one step.

    Attributes:
        gradient_norm: mean norm of the mini-batch gradients, dropout active.
        variance: gradient direction variance (GDV), dropout active.
        error: gradient direction error (GDE) of the same gradients; None without a reference.
        noise_scale: simple gradient noise scale; None where the gradients do not agree beyond
            chance, so that none is defined.
        distance: distance of the weights from the start; None if there is none.
        variance_without: GDV of the same mini-batches with dropout in inference mode.
        error_without: GDE of the same mini-batches with dropout in inference mode.
        variance_effect: GDV with dropout minus without, paired by mini-batch.
        error_effect: GDE with dropout minus without, paired by mini-batch.
    """

    gradient_norm: Value
    variance: Direction
    error: Direction | None = None
    noise_scale: NoiseScale | None = None
    distance: float | None = None
    variance_without: Direction | None = None
    error_without: Direction | None = None
    variance_effect: Direction | None = None
    error_effect: Direction | None = None

    def to_row(self) -> dict[str, float | None]:
        """Flat JSON values: each value under its name, its error under ``<name>_se``."""
        row: dict[str, float | None] = {}
        for item in fields(Part):
            value = getattr(self, item.name)
            if isinstance(value, Value):
                row[item.name] = value.value
                row[f"{item.name}_se"] = _finite(value.standard_error)
            else:
                row[item.name] = value
        return row


@dataclass(frozen=True, kw_only=True)
class Dynamics(Part):
    """Dynamics of a model at one step; the attributes of :class:`Part` are of the whole model.

    Attributes:
        step: optimizer step, 0-based.
        batches: mini-batches measured (K).
        batch_size: examples in one of them.
        halved: scale of every direction: ``(1 - cos) / 2``, or ``1 - cos`` if false.
        reference: what GDE was measured against; None without one.
        groups: the same of each group of parameters.
    """

    step: int
    batches: int
    batch_size: float
    halved: bool
    reference: ReferenceSummary | None = None
    groups: Mapping[str, Part] = field(default_factory=dict)

    def to_row(self) -> dict[str, float | None]:
        """Flat JSON values of the whole model, with the conditions; groups are left out."""
        row: dict[str, float | None] = {
            "step": self.step,
            "batches": self.batches,
            "batch_size": self.batch_size,
            "halved": self.halved,
            **super().to_row(),
        }
        if self.reference is not None:
            row |= {f"reference_{name}": _finite(v) for name, v in vars(self.reference).items()}
        return row


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
