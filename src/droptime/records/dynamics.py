"""What a probe measured of a run's gradients at one step, as a row of its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from droptime.records.fields import Fields, plain, whole
from droptime.records.files import JSON

_Estimates: TypeAlias = "Mapping[str, Estimate]"


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
        groups: the same of each group of parameters, by its name; empty where none was measured.
    """

    step: int
    epoch: float
    batches: int
    batch_size: float
    halved: bool
    values: Mapping[str, Estimate]
    reference: int | None = None
    groups: Mapping[str, _Estimates] = field(default_factory=dict)


def dynamics_json(row: DynamicsRow) -> dict[str, JSON]:
    """Return a measurement as a JSON object."""
    some: dict[str, JSON] = {}
    if row.reference is not None:
        some["reference"] = whole("reference", row.reference)
    if row.groups:
        some["groups"] = {name: _json(values) for name, values in row.groups.items()}
    return {
        "step": whole("step", row.step),
        "epoch": plain("epoch", row.epoch),
        "batches": whole("batches", row.batches),
        "batch_size": plain("batch_size", row.batch_size),
        "halved": bool(row.halved),
        **some,
        "values": _json(row.values),
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
            values=_estimates(fields.mapping("values")),
            reference=fields.whole("reference") if fields.has("reference") else None,
            groups=_groups(fields.mapping("groups")) if fields.has("groups") else {},
        )
    )


def _json(values: _Estimates) -> dict[str, JSON]:
    return {
        name: {"value": plain(name, found.value), "error": plain(name, found.error)}
        for name, found in values.items()
    }


def _groups(values: dict[str, Any]) -> dict[str, _Estimates]:
    groups = Fields(values)
    return {name: _estimates(groups.mapping(name)) for name in values}


def _estimates(values: dict[str, Any]) -> _Estimates:
    return {name: _estimate(name, value) for name, value in values.items()}


def _estimate(name: str, value: object) -> Estimate:
    inner = Fields({name: value}).mapping(name)
    parts = Fields(inner)
    return parts.done(Estimate(parts.number("value"), parts.number("error")))
