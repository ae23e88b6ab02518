"""What dropout does to directions here: the same mini-batches with it and without."""

from __future__ import annotations

import math

import numpy as np

from droptime.dynamics.directions import GradientDirections
from droptime.dynamics.jackknife import left_out, mean_error, standard_error, with_others
from droptime.dynamics.values import Direction, scale
from droptime.errors import StateError


def variance_effect(
    on: GradientDirections, off: GradientDirections, *, group: str | None = None
) -> Direction:
    """GDV with dropout minus GDV without, over the same mini-batches in the same order.

    The standard error leaves out one mini-batch at a time, on both sides, so what the two share
    cancels.

    Raises:
        StateError: they do not hold equally many gradients, or their scales differ.
        StatsError: fewer than 2.
    """
    _check(on, off)
    with_it, without = on.variance(group), off.variance(group)
    factor, error = scale(on.halved), math.inf
    if len(on) > 2:
        left, right = (left_out(with_others(side.rows(group))) for side in (on, off))
        error = factor * standard_error(left - right)
    return Direction(with_it.value - without.value, error, len(on), on.halved)


def error_effect(
    on: GradientDirections, off: GradientDirections, *, group: str | None = None
) -> Direction:
    """GDE with dropout minus GDE without, to the reference both were given.

    Raises:
        StateError: they do not hold equally many gradients, or their scales differ.
        GradientError: they were given no reference.
    """
    _check(on, off)
    cosines = off.cosines_to(group=group) - on.cosines_to(group=group)
    factor = scale(on.halved)
    value = factor * float(np.mean(cosines))
    return Direction(value, factor * mean_error(cosines), len(on), on.halved)


def _check(on: GradientDirections, off: GradientDirections) -> None:
    if len(on) != len(off) or on.halved != off.halved:
        raise StateError(
            f"Cannot pair {len(on)} gradients (halved={on.halved}) with {len(off)} "
            f"(halved={off.halved}): take both from the same mini-batches, on one scale."
        )
    on.layout.check(off.layout, "The other side")
