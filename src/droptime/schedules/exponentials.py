"""Curves that follow an exponential: the geometric one, and Curriculum Dropout's."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log

from droptime.errors import CurveArgumentError
from droptime.schedules.checks import duration, lasting, lasting_steps, rate
from droptime.schedules.text import TextCurve, held
from droptime.types import Clock, Duration, Rate, Schedule, Step


def exponential(start: Rate, end: Rate, *, until: str | Duration) -> Exponential:
    """Return the geometric curve from ``start`` to ``end``: equal factors in equal times.

    It decays or grows, whichever the two rates say. With ``until`` at step T, for i < T::

        start * (end / start) ** (i / (T - 1))    step 0: exactly start    step T-1: exactly end

    and ``end`` from step T on: the table of ``numpy.geomspace(start, end, T)``. A curve of one
    step is ``start``.

    >>> schedule = exponential(0.4, 0.1, until="3st").resolve(Clock(total_steps=10))
    >>> schedule(0), round(schedule(1), 12), schedule(2), schedule(9)
    (0.4, 0.2, 0.1, 0.1)

    Args:
        start: rate at step 0, above 0.
        end: rate from step T-1 on, above 0.
        until: the cutoff T, such as ``"50ep"``, ``"15600st"`` or ``"100%"``.

    Raises:
        CurveError: a rate is 0 or outside (0, 1), the cutoff has no unit or no length.
    """
    return Exponential(start, end, until=duration(until, "until"))


def curriculum(p: Rate, *, tau: str | Duration) -> Curriculum:
    """Return Curriculum Dropout's curve: from no dropping at all towards ``p``, ever more slowly.

    With the keep probability k* = 1 - p and gamma = 1 / tau, tau in steps, at step i::

        keep  k(i) = (1 - k*) * exp(-gamma * i) + k*
        rate  1 - k(i) = p * (1 - exp(-i / tau))     step 0: 0    step tau: 0.632 p    limit: p

    The time constant is a duration so that it means the same in every run: ``tau="10%"`` is
    gamma = 10 / N for a run of N steps. Past the end of the run the last step's rate is kept.

    >>> schedule = curriculum(0.5, tau="10%").resolve(Clock(total_steps=1000))
    >>> schedule(0), round(schedule(100), 4), round(schedule(999), 4)
    (0.0, 0.3161, 0.5)

    Args:
        p: the rate approached, 1 - k*.
        tau: the time constant 1 / gamma, such as ``"10%"`` or ``"1000st"``.

    Raises:
        CurveError: ``p`` is not a rate, ``tau`` has no unit or no length.

    Source: Morerio et al., "Curriculum Dropout", ICCV 2017 (arXiv 1703.06229).
    """
    return Curriculum(p, tau=duration(tau, "tau"))


@dataclass(frozen=True, repr=False)
class Exponential(TextCurve):
    """See :func:`exponential`."""

    start: Rate
    end: Rate
    until: Duration = field(kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _above_zero(self.start, "start"))
        object.__setattr__(self, "end", _above_zero(self.end, "end"))
        object.__setattr__(self, "until", lasting(self.until, "until"))

    def resolve(self, clock: Clock) -> Schedule:
        """Return the schedule; see :meth:`droptime.types.Curve.resolve`."""
        start, end = self.start, self.end
        last = lasting_steps(self, self.until, clock) - 1
        low, high = sorted((start, end))
        log_start, log_factor = log(start), log(end) - log(start)

        def schedule(step: Step) -> Rate:
            if step <= 0:
                return start
            if step >= last:
                return end
            return min(max(exp(log_start + log_factor * (step / last)), low), high)

        return schedule

    def cutoffs(self, clock: Clock) -> tuple[Step, ...]:
        """Return the step from which the rate is constant."""
        return (clock.steps(self.until),)


@dataclass(frozen=True, repr=False)
class Curriculum(TextCurve):
    """See :func:`curriculum`."""

    p: Rate
    tau: Duration = field(kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", rate(self.p, "p"))
        object.__setattr__(self, "tau", lasting(self.tau, "tau"))

    def resolve(self, clock: Clock) -> Schedule:
        """Return the schedule; see :meth:`droptime.types.Curve.resolve`."""
        p, tau = self.p, lasting_steps(self, self.tau, clock)
        return held(lambda step: p * (1 - exp(-step / tau)), clock)


def _above_zero(value: object, argument: str) -> Rate:
    number = rate(value, argument)
    if number == 0.0:
        raise CurveArgumentError(
            argument,
            "0.0 is out of an exponential's reach: give a small rate such as 0.001, or write "
            "early(p, until=..., shape=cosine) to reach 0.",
        )
    return number
