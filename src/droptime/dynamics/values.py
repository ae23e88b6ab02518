"""What an estimator gives: a value, its standard error, and for directions the scale it is on."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

from droptime.errors import StatsError

LEVEL = 0.95


@dataclass(frozen=True)
class Value:
    """An estimate with its standard error.

    Attributes:
        value: the estimate.
        standard_error: its standard error; ``inf`` where so few gradients cannot tell.
        n: how many gradients it rests on.
    """

    value: float
    standard_error: float
    n: int

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Ends of the normal interval: ``value -+ z[(1 + level) / 2] * standard_error``.

        Raises:
            StatsError: the level is not in (0, 1).

        >>> low, high = Value(0.4, 0.01, n=50).interval()
        >>> round(low, 4), round(high, 4)
        (0.3804, 0.4196)
        """
        if not 0 < level < 1:
            raise StatsError(f"level={level!r}: expected a number between 0 and 1, such as 0.95.")
        reach = NormalDist().inv_cdf(0.5 + level / 2) * self.standard_error
        return self.value - reach, self.value + reach


@dataclass(frozen=True)
class Direction(Value):
    """A mean cosine distance, or a difference of two.

    Attributes:
        halved: whether the distance is ``(1 - cosine) / 2``, from 0 to 1, or ``1 - cosine``, from
            0 to 2.
    """

    halved: bool

    def on_scale(self, *, halved: bool) -> Direction:
        """The same value with the factor 1/2 or without.

        >>> Direction(0.4, 0.01, n=50, halved=True).on_scale(halved=False)
        Direction(value=0.8, standard_error=0.02, n=50, halved=False)
        """
        factor = scale(halved) / scale(self.halved)
        return Direction(self.value * factor, self.standard_error * factor, self.n, halved)


def scale(halved: bool) -> float:
    """The factor of ``1 - cosine``."""
    return 0.5 if halved else 1.0
