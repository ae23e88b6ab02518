"""Curves: how a drop rate goes over training, in the user's own units; no torch needed.

A curve is a small frozen value with a text form. A clock resolves it to a plain function from
step to rate:

>>> from droptime.types import Clock
>>> curve = parse("early(0.1, until=50ep)")
>>> curve == early(0.1, until="50ep")
True
>>> schedule = curve.resolve(Clock(epochs=300, steps_per_epoch=312))
>>> schedule(0), schedule(15599), schedule(15600)
(0.1, 0.0, 0.0)
"""

from __future__ import annotations

from droptime.schedules.accepting import CurveLike, as_curve
from droptime.schedules.exponentials import curriculum, exponential
from droptime.schedules.functions import from_function
from droptime.schedules.joining import join
from droptime.schedules.knots import piecewise
from droptime.schedules.parsing import parse
from droptime.schedules.phases import early, late, standard
from droptime.schedules.scaling import is_relative, relative
from droptime.schedules.text import cutoffs

__all__ = [
    "CurveLike",
    "as_curve",
    "curriculum",
    "cutoffs",
    "early",
    "exponential",
    "from_function",
    "is_relative",
    "join",
    "late",
    "parse",
    "piecewise",
    "relative",
    "standard",
]
