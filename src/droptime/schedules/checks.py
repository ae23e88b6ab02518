"""What every curve checks about its arguments; each error names the argument and the cure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fractions import Fraction
from numbers import Real
from typing import TypeVar

from droptime.errors import CurveArgumentError, CurveError
from droptime.types import Clock, Curve, Duration, Rate, Step

Moment = TypeVar("Moment", bound=str | Duration)
"""How a user writes a moment: as text or as a duration."""


def rate(value: object, argument: str) -> Rate:
    """Return ``value`` as a float if it is a drop rate.

    >>> rate(0, "p")
    0.0

    Raises:
        CurveArgumentError: not a real number in [0, 1).
    """
    if not isinstance(value, bool) and isinstance(value, Real) and not value < 0 and value < 1:
        number = float(value) + 0.0  # the sum makes -0.0 plain zero
        if number < 1.0:
            return number
    raise CurveArgumentError(
        argument,
        f"{_shown(value)} is not a drop rate: give a number in [0, 1) (the probability of "
        "dropping).",
    )


def duration(value: object, argument: str) -> Duration:
    """Return ``value`` as a duration that its own text gives back exactly.

    Raises:
        CurveArgumentError: no unit, not a duration, or more digits than its text holds.
    """
    if isinstance(value, (int, float)):
        raise CurveArgumentError(
            argument,
            f"{_shown(value)} has no unit: write '{_shown(value)}ep' (epochs), "
            f"'{_shown(value)}st' (steps) or a percentage of the run such as '20%'.",
        )
    try:
        length = Duration.parse(value)  # type: ignore[arg-type]
        exact = Duration.parse(str(length)) == length
    except CurveError as error:
        raise CurveArgumentError(argument, str(error)) from None
    except ValueError:  # Python reads no number of more than 4300 digits
        raise CurveArgumentError(argument, "this number has too many digits.") from None
    if not exact:
        raise CurveArgumentError(
            argument, f"{length!r} cannot be written exactly: use at most 12 decimals."
        )
    return length


def lasting(value: object, argument: str) -> Duration:
    """Return ``value`` as a duration longer than nothing.

    Raises:
        CurveArgumentError: it is no duration, or of zero length.
    """
    length = duration(value, argument)
    if length.amount == 0:
        raise CurveArgumentError(
            argument, f"{length} leaves the phase no step: lengthen it, or write standard(0.0)."
        )
    return length


def lasting_steps(curve: Curve, length: Duration, clock: Clock) -> Step:
    """Resolve a phase's length to at least one step.

    Raises:
        ClockError: the clock cannot resolve it.
        CurveError: it rounds to no step at all.
    """
    steps = clock.steps(length)
    if steps == 0:
        raise CurveError(
            f"{curve}: {length} is less than one step of this run ({clock}): lengthen it."
        )
    return steps


def choice(value: object, argument: str, options: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``options``.

    Raises:
        CurveArgumentError: it is not; near names are proposed.
    """
    if isinstance(value, str) and value in options:
        return value
    raise CurveArgumentError(argument, unknown(value, options))


def unknown(value: object, options: Iterable[str]) -> str:
    """Say that ``value`` is not among ``options``, with the nearest ones first.

    >>> unknown("linaer", ["linear", "constant"])
    "'linaer' is unknown. Did you mean 'linear'? There are: linear, constant."
    """
    options = list(options)
    close = get_close_matches(value, options, n=1) if isinstance(value, str) else []
    guess = f" Did you mean '{close[0]}'?" if close else ""
    return f"{_shown(value)} is unknown.{guess} There are: {', '.join(options)}."


def in_order(durations: Sequence[Duration], argument: str) -> None:
    """Check that durations of one unit strictly increase; units meet when a clock resolves them.

    Raises:
        CurveArgumentError: naming the first one out of order, ``"<argument> <number>"``.
    """
    latest: dict[str, tuple[Fraction, Duration]] = {}
    for number, this in enumerate(durations, start=1):
        before = latest.get(this.unit, (Fraction(0), durations[0]))
        if number > 1 and this.amount <= before[0]:
            raise CurveArgumentError(
                f"{argument} {number}",
                f"{this} does not come after {before[1]}: write each {argument} once, "
                "in order of time.",
            )
        latest[this.unit] = (this.amount, this)


def steps_in_order(durations: Sequence[Duration], clock: Clock, argument: str) -> tuple[Step, ...]:
    """Resolve durations to strictly increasing steps; nothing is step 0 in any unit.

    Raises:
        ClockError: the clock cannot resolve one of them.
        CurveError: two fall on one step or change places.
    """
    steps = tuple(clock.steps(this) if this.amount else 0 for this in durations)
    for i in range(1, len(steps)):
        if steps[i] <= steps[i - 1]:
            raise CurveError(
                f"{argument} {i + 1} ({durations[i]} = step {steps[i]}) does not come after "
                f"{argument} {i} ({durations[i - 1]} = step {steps[i - 1]}) in this run ({clock}): "
                "move them apart."
            )
    return steps


def _shown(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else repr(value)
