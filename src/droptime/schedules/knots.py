"""Curves drawn through knots, straight lines in between."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from droptime.errors import CurveError
from droptime.schedules.checks import Moment, duration, in_order, rate, steps_in_order
from droptime.schedules.text import TextCurve, written_pairs
from droptime.types import Clock, Duration, Rate, Schedule, Step


def piecewise(knots: Mapping[Moment, Rate] | Iterable[tuple[Moment, Rate]]) -> Piecewise:
    """Return straight lines through ``{when: rate}`` knots, flat before and after them.

    Between a knot ``a`` at step s and the next, ``b`` at step t, for s <= i < t::

        a + (b - a) * (i - s) / (t - s)        step s: exactly a    step t: exactly b

    ``"100%"`` is step N, one past the last step N - 1 of the run, so a curve that ends in a slope
    reaches the last knot's rate when training is over; to reach it sooner, put the knot sooner.
    A jump is two knots one step apart, or a :func:`~droptime.schedules.join`.

    >>> curve = piecewise({"0%": 0.0, "20%": 0.0, "50%": 0.3, "100%": 0.0})
    >>> schedule = curve.resolve(Clock(total_steps=100))
    >>> schedule(0), schedule(20), schedule(35), schedule(50), schedule(100)
    (0.0, 0.0, 0.15, 0.3, 0.0)
    >>> str(curve)
    'piecewise(0%: 0.0, 20%: 0.0, 50%: 0.3, 100%: 0.0)'

    Args:
        knots: a mapping, or pairs, of moment and rate, in order of time; at least two.

    Raises:
        CurveError: fewer than two knots, a rate outside [0, 1), a moment without a unit, knots
            out of order or at one moment. Knots of different units, or that a run is too short to
            tell apart, are compared when a clock resolves the curve.

    Source: the form follows the piecewise-linear dropout schedules of Cheng et al., Interspeech
    2017 (Kaldi).
    """
    pairs = knots.items() if isinstance(knots, Mapping) else knots
    return Piecewise(tuple((duration(at, f"knot {n}"), p) for n, (at, p) in enumerate(pairs, 1)))


@dataclass(frozen=True, repr=False)
class Piecewise(TextCurve):
    """See :func:`piecewise`."""

    knots: tuple[tuple[Duration, Rate], ...]

    def __post_init__(self) -> None:
        checked = tuple(
            (duration(at, f"knot {number}"), rate(p, f"rate {number}"))
            for number, (at, p) in enumerate(self.knots, start=1)
        )
        if len(checked) < 2:
            raise CurveError(
                f"piecewise needs at least two knots, not {len(checked)}: "
                "for one rate throughout write standard(p)."
            )
        in_order([at for at, _ in checked], "knot")
        object.__setattr__(self, "knots", checked)

    def resolve(self, clock: Clock) -> Schedule:
        """Return the schedule; see :meth:`droptime.types.Curve.resolve`."""
        steps = self.cutoffs(clock)
        rates = tuple(p for _, p in self.knots)
        count, before, after = len(steps), rates[0], rates[-1]

        def schedule(step: Step) -> Rate:
            right = bisect_right(steps, step)
            if right == 0:
                return before
            if right == count:
                return after
            start, low = steps[right - 1], rates[right - 1]
            return low + (rates[right] - low) * ((step - start) / (steps[right] - start))

        return schedule

    def cutoffs(self, clock: Clock) -> tuple[Step, ...]:
        """Return the steps of the knots."""
        return steps_in_order([at for at, _ in self.knots], clock, "knot")

    def __str__(self) -> str:
        """The text that ``droptime.parse`` reads back."""
        return written_pairs("piecewise", self.knots)
