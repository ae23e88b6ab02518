"""Standard, early and late: the schedules of Liu et al., ICML 2023."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from droptime.errors import ClockError, CurveError
from droptime.schedules.checks import choice, duration, lasting, lasting_steps, rate
from droptime.schedules.text import TextCurve
from droptime.types import Clock, Duration, Rate, Schedule, Step


def standard(p: Rate) -> Standard:
    """Return the constant curve: rate ``p`` at every step.

    >>> schedule = standard(0.1).resolve(Clock(total_steps=100))
    >>> schedule(0), schedule(99)
    (0.1, 0.1)

    Raises:
        CurveError: ``p`` is not a number in [0, 1).
    """
    return Standard(p)


def early(p: Rate, *, until: str | Duration, shape: str = "linear") -> Early:
    """Return a curve that drops before the cutoff and never after it.

    With the cutoff ``until`` at step T, for steps i < T::

        linear     p * (1 - i / (T - 1))            step 0: p    step T-1: exactly 0
        constant   p                                step 0: p    step T-1: p
        cosine     0.5 * p * (1 + cos(pi * i / T))  step 0: p    step T-1: just above 0

    and 0 from step T on. A linear early phase of one step is ``p``, as ``linspace(p, 0, 1)`` is.

    >>> clock = Clock(epochs=300, steps_per_epoch=312)
    >>> schedule = early(0.1, until="50ep").resolve(clock)
    >>> schedule(0), schedule(15599), schedule(15600), schedule(93599)
    (0.1, 0.0, 0.0, 0.0)

    Args:
        p: rate at step 0.
        until: the cutoff, such as ``"50ep"``, ``"15600st"`` or ``"17%"``.
        shape: ``"linear"``, ``"constant"`` or ``"cosine"``.

    Raises:
        CurveError: ``p`` is not a rate, the cutoff has no unit or no length, the shape is unknown.

    Source: Liu et al., "Dropout Reduces Underfitting", ICML 2023, and the authors' public code.
    """
    return Early(p, until=duration(until, "until"), shape=shape)


def late(p: Rate, *, since: str | Duration, shape: str = "constant") -> Late:
    """Return a curve that never drops before the cutoff and does from it on.

    With the cutoff ``since`` at step S of N, the rate is 0 for steps i < S and then::

        constant   p                                step S: p    step N-1: p
        linear     p * (i - S) / (N - 1 - S)        step S: 0    step N-1: p

    Linear late is linear early run backwards, so a late phase of one step is ``p``. Past the
    end of the run the rate stays ``p``.

    >>> clock = Clock(epochs=300, steps_per_epoch=312)
    >>> schedule = late(0.4, since="50ep").resolve(clock)
    >>> schedule(0), schedule(15599), schedule(15600), schedule(93599)
    (0.0, 0.0, 0.4, 0.4)

    Args:
        p: rate at the last step.
        since: the cutoff, such as ``"50ep"``, ``"15600st"`` or ``"17%"``.
        shape: ``"constant"`` (the paper's) or ``"linear"`` (ours; it needs a clock that knows
            the end of the run).

    Raises:
        CurveError: ``p`` is not a rate, the cutoff has no unit, the shape is unknown.

    Source: Liu et al., "Dropout Reduces Underfitting", ICML 2023, and the authors' public code.
    """
    return Late(p, since=duration(since, "since"), shape=shape)


@dataclass(frozen=True, repr=False)
class Standard(TextCurve):
    """See :func:`standard`."""

    p: Rate

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", rate(self.p, "p"))

    def resolve(self, clock: Clock) -> Schedule:
        """Return the schedule; every clock will do."""
        return _constant(self.p)


@dataclass(frozen=True, repr=False)
class Early(TextCurve):
    """See :func:`early`."""

    p: Rate
    until: Duration = field(kw_only=True)
    shape: str = field(kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", rate(self.p, "p"))
        object.__setattr__(self, "until", lasting(self.until, "until"))
        choice(self.shape, "shape", tuple(_EARLY))

    def resolve(self, clock: Clock) -> Schedule:
        """Return the schedule; see :meth:`droptime.types.Curve.resolve`."""
        return _EARLY[self.shape](self.p, lasting_steps(self, self.until, clock))

    def cutoffs(self, clock: Clock) -> tuple[Step, ...]:
        """Return the step from which nothing is dropped."""
        return (clock.steps(self.until),)


@dataclass(frozen=True, repr=False)
class Late(TextCurve):
    """See :func:`late`."""

    p: Rate
    since: Duration = field(kw_only=True)
    shape: str = field(kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", rate(self.p, "p"))
        object.__setattr__(self, "since", duration(self.since, "since"))
        choice(self.shape, "shape", ("constant", "linear"))

    def resolve(self, clock: Clock) -> Schedule:
        """Return the schedule; see :meth:`droptime.types.Curve.resolve`."""
        start, end = clock.steps(self.since), clock.total_steps
        if start == end:
            raise CurveError(
                f"{self} starts at the end of the run ({clock}) and would never drop: "
                "move since= earlier, or write standard(0.0)."
            )
        if self.shape == "constant":
            return _late_constant(self.p, start)
        if end is None:
            raise ClockError(
                f"{self} rises until the end of the run, which {clock} does not know: "
                "give the clock total_steps (or epochs)."
            )
        return _late_linear(self.p, start, end)

    def cutoffs(self, clock: Clock) -> tuple[Step, ...]:
        """Return the first step of the late phase."""
        return (clock.steps(self.since),)


def _constant(p: Rate) -> Schedule:
    return lambda step: p


def _early_linear(p: Rate, steps: Step) -> Schedule:
    last = steps - 1
    if last == 0:
        return _early_constant(p, steps)
    return lambda step: p * (1 - step / last) if step < last else 0.0


def _early_constant(p: Rate, steps: Step) -> Schedule:
    return lambda step: p if step < steps else 0.0


def _early_cosine(p: Rate, steps: Step) -> Schedule:
    half, cos, pi = 0.5 * p, math.cos, math.pi
    return lambda step: half * (1 + cos(pi * step / steps)) if step < steps else 0.0


def _late_constant(p: Rate, start: Step) -> Schedule:
    return lambda step: p if step >= start else 0.0


def _late_linear(p: Rate, start: Step, end: Step) -> Schedule:
    last = end - 1
    if last == start:
        return _late_constant(p, start)
    length = last - start
    return lambda step: 0.0 if step < start else p * ((step - start) / length) if step < last else p


_EARLY: Mapping[str, Callable[[Rate, Step], Schedule]] = MappingProxyType(
    {"linear": _early_linear, "constant": _early_constant, "cosine": _early_cosine}
)
