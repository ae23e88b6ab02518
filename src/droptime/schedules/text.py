"""A curve is written as it is called: ``early(0.1, until=50ep, shape=linear)``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from droptime.types import Clock, Curve, Duration, Schedule, Step


class TextCurve(Curve):
    """A curve that is a frozen dataclass and whose text is the call that made it."""

    def cutoffs(self, clock: Clock) -> tuple[Step, ...]:
        """Return the steps at which the curve begins another phase, in order."""
        return ()

    def __str__(self) -> str:
        """The text that ``droptime.parse`` reads back."""
        parts = []
        for field in fields(self):  # type: ignore[arg-type]
            value = written(getattr(self, field.name))
            parts.append(f"{field.name}={value}" if field.kw_only else value)
        return f"{type(self).__name__.lower()}({', '.join(parts)})"

    def __repr__(self) -> str:
        """The same text: a curve reads in a notebook as it is written in a script."""
        return str(self)


def cutoffs(curve: Curve, clock: Clock) -> tuple[Step, ...]:
    """Return the steps at which a curve begins another phase, in order; () if it tells of none.

    >>> from droptime.schedules import early
    >>> cutoffs(early(0.1, until="50ep"), Clock(epochs=300, steps_per_epoch=312))
    (15600,)

    Raises:
        ClockError: the clock cannot resolve one of them.
        CurveError: two of the curve's knots fall on one step.
    """
    return curve.cutoffs(clock) if isinstance(curve, TextCurve) else ()


def held(schedule: Schedule, clock: Clock) -> Schedule:
    """Return the schedule with its last rate kept past the end of the run, if the clock knows it.

    >>> held(lambda step: step / 10, Clock(total_steps=4))(7)
    0.3
    """
    if clock.total_steps is None:
        return schedule
    last = clock.total_steps - 1
    return lambda step: schedule(step if step < last else last)


def written(value: object) -> str:
    """Write one argument: floats by ``repr``, so that no digit is lost."""
    return repr(value) if isinstance(value, float) else str(value)


def written_pairs(name: str, pairs: Iterable[tuple[Duration, object]]) -> str:
    """Write a curve made of knots: ``name(0%: ..., 50%: ...)``."""
    return f"{name}({', '.join(f'{at}: {written(value)}' for at, value in pairs)})"
