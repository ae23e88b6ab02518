"""One curve for sites built with different rates: each keeps its share."""

from __future__ import annotations

from dataclasses import dataclass

from droptime.errors import CurveArgumentError
from droptime.schedules.text import TextCurve, cutoffs
from droptime.types import Clock, Curve, Schedule, Step


def relative(curve: Curve) -> Relative:
    """Return a curve that keeps the profile a model was built with, scaled over training.

    The curve is the rate of the site built with the highest rate among those it drives. A site
    built with rate ``b`` gets, at step i::

        schedule(i) * b / max(b)

    so a site built at 0 stays at 0. What counts is the rate when the scheduler is made.

    >>> from droptime.schedules import early
    >>> relative(early(0.1, until="20%"))
    relative(early(0.1, until=20%, shape=linear))

    Raises:
        CurveError: ``curve`` is no curve, or itself relative.
    """
    return Relative(curve)


@dataclass(frozen=True, repr=False)
class Relative(TextCurve):
    """See :func:`relative`."""

    curve: Curve

    def __post_init__(self) -> None:
        if not isinstance(self.curve, Curve):
            raise CurveArgumentError(
                "curve", f"{self.curve!r} is not a curve: give one, such as standard(0.1)."
            )
        absolute(self.curve, "curve")

    def resolve(self, clock: Clock) -> Schedule:
        """Return the schedule of the site built with the highest rate."""
        return self.curve.resolve(clock)

    def cutoffs(self, clock: Clock) -> tuple[Step, ...]:
        """Return the cutoffs of the curve inside."""
        return cutoffs(self.curve, clock)


def is_relative(curve: Curve) -> bool:
    """Whether each site keeps its share of the curve's rate."""
    return isinstance(curve, Relative)


def absolute(curve: Curve, argument: str) -> Curve:
    """Return ``curve`` if it is not relative.

    Raises:
        CurveArgumentError: it is.
    """
    if is_relative(curve):
        raise CurveArgumentError(
            argument,
            "relative(...) stands outside every other curve: write relative(join(...)), once.",
        )
    return curve
