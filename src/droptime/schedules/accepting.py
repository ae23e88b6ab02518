"""What may be given where a curve is wanted: a curve, its text or a function of the step."""

from __future__ import annotations

from typing import TypeAlias

from droptime.errors import CurveError
from droptime.schedules.functions import from_function
from droptime.schedules.parsing import parse
from droptime.types import Curve, Schedule

CurveLike: TypeAlias = Curve | Schedule | str


def as_curve(name: str, value: CurveLike) -> Curve:
    """Return the curve given as the argument ``name``.

    >>> as_curve("dropout", "standard(0.1)")
    standard(0.1)

    Raises:
        CurveError: it is none, or its text cannot be read.
    """
    if isinstance(value, Curve):
        return value
    if isinstance(value, str):
        return parse(value)
    if callable(value):
        return from_function(value)
    raise CurveError(
        f"{name}={value!r} is not a curve: give a curve such as standard({value!r}), its text, or "
        "a function from step to rate."
    )
