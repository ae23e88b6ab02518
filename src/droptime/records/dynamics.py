"""What a probe measured of a run's gradients at one step, as a row of its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from droptime.records.fields import Fields, plain, whole
from droptime.records.files import JSON


@dataclass(frozen=True)
class Estimate:
    """A measured value.

    Attributes:
        value: the estimate.
        error: its standard error over mini-batches; 0 where there is none, infinite where so few
            mini-batches cannot tell.
    """

    value: float
    error: float


@dataclass(frozen=True)
class DynamicsRow:
    """The gradients at the weights that a step starts from.

    Attributes:
        step: optimizer steps done; 0 is the initial weights.
        epoch: epochs done.
        batches: mini-batches measured (K).
        batch_size: examples in one of them.
        halved: scale of every direction: ``(1 - cos) / 2``, or ``1 - cos`` if false.
        values: estimates by name: ``gradient_norm``, ``distance``, ``variance`` (GDV), ``error``
            (GDE), ``noise_scale``, and of the same mini-batches without dropout
            ``variance_without``, ``error_without`` and the paired differences
            ``variance_effect``, ``error_effect``; and ``alignment``, the cosine between the
            gradient that GDE is measured to and that of the whole training set: 1 with error 0
            where it is that. What could not be measured is absent.
        reference: examples whose mean gradient GDE is measured to; None where there is no GDE or
            the record does not say.
    """

    step: int
    epoch: float
    batches: int
    batch_size: float
    halved: bool
    values: Mapping[str, Estimate]
    reference: int | None = None


def dynamics_json(row: DynamicsRow) -> dict[str, JSON]:
    """Return a measurement as a JSON object."""
    reference: dict[str, JSON] = {}
    if row.reference is not None:
        reference["reference"] = whole("reference", row.reference)
    return {
        "step": whole("step", row.step),
        "epoch": plain("epoch", row.epoch),
        "batches": whole("batches", row.batches),
        "batch_size": plain("batch_size", row.batch_size),
        "halved": bool(row.halved),
        **reference,
        "values": {
            name: {"value": plain(name, found.value), "error": plain(name, found.error)}
            for name, found in row.values.items()
        },
    }


def dynamics_row(fields: Fields) -> DynamicsRow:
    """Read :func:`dynamics_json`'s object back."""
    return fields.done(
        DynamicsRow(
            step=fields.whole("step"),
            epoch=fields.number("epoch"),
            batches=fields.whole("batches"),
            batch_size=fields.number("batch_size"),
            halved=fields.flag("halved"),
            values={name: _estimate(name, v) for name, v in fields.mapping("values").items()},
            reference=fields.whole("reference") if fields.has("reference") else None,
        )
    )


def _estimate(name: str, value: object) -> Estimate:
    inner = Fields({name: value}).mapping(name)
    parts = Fields(inner)
    return parts.done(Estimate(parts.number("value"), parts.number("error")))
