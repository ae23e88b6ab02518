"""Whether a curve fits a run of so many epochs, before anyone knows how many steps they have."""

from __future__ import annotations

import re
from fractions import Fraction

from droptime.errors import ClockError, CurveError
from droptime.schedules.parsing import parse
from droptime.types import Clock

_MANY = 10**6  # steps in an epoch: so many that rounding to steps brings no two moments together
_EPOCHS = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)ep\b")
_STEPS = re.compile(r"(?<![\w.])\d+st\b")


def check_epochs(text: str, epochs: int) -> None:
    """Refuse a curve that no run of ``epochs`` epochs can follow, whatever its data.

    A curve with a duration in steps (``st``) is let through unless it names an epoch after the
    end: the rest depends on the number of images.

    Raises:
        ClockError: the curve goes past the end of the run, or makes no sense in it.
        CurveError: the text is no curve.

    >>> check_epochs("early(0.1, until=50ep)", 300)
    >>> check_epochs("early(0.1, until=50ep)", 2)
    Traceback (most recent call last):
    droptime.errors.ClockError: 50ep is past the end of a run of 2 epochs.
    """
    curve = parse(text)
    written = str(curve)
    for amount in _EPOCHS.findall(written):
        if Fraction(amount) > epochs:
            raise ClockError(f"{amount}ep is past the end of a run of {epochs} epochs.")
    if _STEPS.search(written):
        return
    try:
        curve.resolve(Clock(epochs=epochs, steps_per_epoch=_MANY))
    except (ClockError, CurveError) as error:
        raise ClockError(
            f"in a run of {epochs} epochs (counted as {_MANY} steps each): {error}"
        ) from error
