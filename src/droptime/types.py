"""The words everything else is said in: Step, Rate, Schedule, Duration, Clock, Curve.

A *rate* is a drop probability in [0, 1). A *step* is a 0-based optimizer step.
A *curve* is a description in the user's own units (``until="50ep"``); a *clock* knows how
long an epoch and the run are; a curve resolved by a clock is a *schedule*, a plain function
from step to rate.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from droptime.errors import ClockError, CurveError

Step: TypeAlias = int
Rate: TypeAlias = float
Schedule: TypeAlias = Callable[[Step], Rate]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ep|st|%)")
_UNITS = "'50ep' (epochs), '15600st' (steps) or '17%' (of the run)"


@dataclass(frozen=True)
class Duration:
    """A length of training in epochs (``ep``), optimizer steps (``st``) or percent of the run.

    >>> Duration.parse("50ep")
    Duration(amount=Fraction(50, 1), unit='ep')
    >>> str(Duration.parse("12.50%"))
    '12.5%'
    """

    amount: Fraction
    unit: str

    @classmethod
    def parse(cls, text: str | Duration) -> Duration:
        """Read ``"50ep"``, ``"15600st"`` or ``"17%"``.

        Raises:
            CurveError: the unit is missing or unknown, the number is not plain, percent is
                over 100, or a count of steps is not whole.
        """
        if isinstance(text, Duration):
            return text
        match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise CurveError(f"{text!r} is not a duration: write {_UNITS}.")
        amount, unit = Fraction(match[1]), match[2]
        if unit == "%" and amount > 100:
            raise CurveError(f"{text!r} is longer than the run: percent goes from 0% to 100%.")
        if unit == "st" and amount.denominator != 1:
            raise CurveError(f"{text!r} is not a whole number of steps.")
        return cls(amount, unit)

    def __str__(self) -> str:
        """The text that :meth:`parse` reads back."""
        whole, rest = divmod(self.amount, 1)
        digits = f"{float(rest):.12f}".rstrip("0")[1:] if rest else ""
        return f"{whole}{digits}{self.unit}"


@dataclass(frozen=True, kw_only=True)
class Clock:
    """How long an epoch and the run are, in optimizer steps.

    Args:
        epochs: length of the run in epochs.
        steps_per_epoch: optimizer steps in one epoch (after gradient accumulation).
        total_steps: length of the run in steps; implied by the other two.

    Raises:
        ClockError: a length is not a positive whole number, or the three disagree.

    >>> clock = Clock(epochs=300, steps_per_epoch=312)
    >>> clock.total_steps, clock.steps("50ep"), clock.steps("17%")
    (93600, 15600, 15912)
    """

    epochs: int | None = None
    steps_per_epoch: int | None = None
    total_steps: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "total_steps"):
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ClockError(f"Clock({name}={value!r}): expected a whole number, at least 1.")
        if self.epochs is None:
            return
        if self.steps_per_epoch is None:
            raise ClockError(
                f"Clock(epochs={self.epochs}) cannot count steps: give steps_per_epoch too, "
                "usually len(loader) divided by the gradient accumulation steps."
            )
        implied = self.epochs * self.steps_per_epoch
        if self.total_steps not in (None, implied):
            raise ClockError(
                f"Clock: {self.epochs} epochs of {self.steps_per_epoch} steps are {implied} "
                f"steps, not total_steps={self.total_steps}: give one or the other."
            )
        object.__setattr__(self, "total_steps", implied)

    def steps(self, duration: str | Duration) -> Step:
        """Resolve a duration to steps, rounded to the nearest (ties to even).

        Raises:
            ClockError: the clock lacks the length the unit needs, or the duration is longer
                than the run.
        """
        duration = Duration.parse(duration)
        steps = round(duration.amount * self._unit(duration))
        if self.total_steps is not None and steps > self.total_steps:
            raise ClockError(
                f"{duration} is {steps} steps, past the end of the run at {self.total_steps} "
                f"steps ({self}): shorten it or lengthen the run."
            )
        return steps

    def _unit(self, duration: Duration) -> Fraction:
        if duration.unit == "st":
            return Fraction(1)
        length = self.steps_per_epoch if duration.unit == "ep" else self.total_steps
        if length is None:
            need = "steps_per_epoch" if duration.unit == "ep" else "total_steps (or epochs)"
            raise ClockError(f"{duration} cannot be resolved by {self}: give the clock {need}.")
        return Fraction(length, 1 if duration.unit == "ep" else 100)

    def __str__(self) -> str:
        """The arguments given, shortest form: ``Clock(epochs=300, steps_per_epoch=312)``."""
        fields = ["epochs", "steps_per_epoch"] if self.epochs else ["steps_per_epoch"]
        if not self.epochs:
            fields.append("total_steps")
        given = [f"{name}={getattr(self, name)}" for name in fields if getattr(self, name)]
        return f"Clock({', '.join(given)})"


class Curve(ABC):
    """A drop rate over training, in the user's units; :meth:`resolve` makes it a function.

    Curves are immutable values: equal text is an equal curve, and
    ``droptime.parse(str(curve)) == curve``.
    """

    @abstractmethod
    def resolve(self, clock: Clock) -> Schedule:
        """Return the function ``step -> rate`` for a run timed by ``clock``.

        The function is defined for every step >= 0 and always returns a float in [0, 1).
        Steps past the clock's end keep the curve's last value.

        Raises:
            ClockError: the clock cannot resolve a duration, or a cutoff lies past its end.
            CurveError: the resolved curve makes no sense (zero-length early phase, knots
                that fall on one step).
        """

    @abstractmethod
    def __str__(self) -> str:
        """The text form: what the command line, records and fingerprints use."""
