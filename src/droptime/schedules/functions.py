"""Any function from step to rate, as a curve."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from droptime.errors import CurveArgumentError, CurveError
from droptime.schedules.checks import rate
from droptime.schedules.text import TextCurve, held
from droptime.types import Clock, Rate, Schedule, Step

_NAME = re.compile(r"[A-Za-z_][\w.:-]*")


def from_function(function: Callable[[Step], Rate], name: str | None = None) -> FromFunction:
    """Return a curve that asks ``function(step)`` at every step and checks each answer.

    The function counts in steps, whatever the clock, and must answer equal steps equally, also
    after a resume. It is never asked past the end of the run, where the last rate is kept, so a
    table's ``__getitem__`` will do. Its text, ``from_function(<name>)``, tells curves apart in
    records and saved states but cannot be parsed back: a command line or a config needs one of
    the other curves.

    >>> def sawtooth(step):
    ...     return 0.2 * (step % 10) / 10
    >>> curve = from_function(sawtooth, name="sawtooth")
    >>> schedule = curve.resolve(Clock(total_steps=100))
    >>> schedule(0), schedule(5), schedule(10)
    (0.0, 0.1, 0.0)
    >>> curve
    from_function(sawtooth)

    Args:
        function: takes a step (0-based), returns a rate.
        name: what the text calls it; by default ``module:qualified.name``. Two lambdas of one
            place share that name: give them names if records must tell them apart.

    Raises:
        CurveError: ``function`` cannot be called, or has no usable name; and, from the schedule,
            when the function returns anything but a real number in [0, 1).
    """
    return FromFunction(function, _name_of(function) if name is None else name)


@dataclass(frozen=True, repr=False)
class FromFunction(TextCurve):
    """See :func:`from_function`."""

    function: Callable[[Step], Rate] = field(hash=False)
    name: str

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise CurveArgumentError(
                "function", f"{self.function!r} cannot be called: give a function of the step."
            )
        if not isinstance(self.name, str) or _NAME.fullmatch(self.name) is None:
            raise CurveArgumentError(
                "name",
                f"{self.name!r} is not a usable name: give name= a word of letters, digits and "
                "'_', '.', ':' or '-', such as name='ramp'.",
            )

    def resolve(self, clock: Clock) -> Schedule:
        """Return the function, its answers checked; it is never asked past the clock's end."""
        function = self.function

        def schedule(step: Step) -> Rate:
            value = function(step)
            if type(value) is float and 0.0 <= value < 1.0:
                return value
            return self._checked(value, step)

        return held(schedule, clock)

    def __str__(self) -> str:
        """The text that tells this curve from others; it cannot be parsed."""
        return f"from_function({self.name})"

    def _checked(self, value: object, step: Step) -> Rate:
        try:
            return rate(value, "the value")
        except CurveArgumentError as error:
            raise CurveError(f"{self} at step {step}: {error}") from None


def _name_of(function: object) -> str:
    name = str(getattr(function, "__qualname__", type(function).__qualname__))
    plain = name.replace("<locals>.", "").replace("<lambda>", "lambda")
    return f"{getattr(function, '__module__', None) or 'function'}:{plain}"
