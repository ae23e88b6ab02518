"""What an estimator gives: a value, its standard error, and for directions the scale it is on."""

from __future__ import annotations

import math
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
        """Ends of ``value -+ t * standard_error``, with Student's t for ``n - 1``.

        Exactly right for normal values only; a guide for few gradients.

        Raises:
            StatsError: the level is not in (0, 1).

        >>> low, high = Value(0.4, 0.01, n=50).interval()
        >>> round(low, 4), round(high, 4)
        (0.3799, 0.4201)
        """
        if not 0 < level < 1:
            raise StatsError(f"level={level!r}: expected a number between 0 and 1, such as 0.95.")
        if self.standard_error == 0:
            return self.value, self.value
        if self.n < 2:
            return -math.inf, math.inf
        reach = t_quantile(0.5 + level / 2, self.n - 1) * self.standard_error
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


def t_quantile(p: float, degrees: int) -> float:
    """Quantile of Student's t, without SciPy.

    Exact for 1 and 2 degrees of freedom, else to four terms of its expansion around the normal's:
    within 0.5 % at the 97.5 % quantile.

    Source: Abramowitz and Stegun (1964), 26.7.5.

    >>> [round(t_quantile(0.975, degrees), 2) for degrees in (1, 2, 5, 30)]
    [12.71, 4.3, 2.57, 2.04]
    """
    if degrees == 1:
        return math.tan(math.pi * (p - 0.5))
    if degrees == 2:
        return (2 * p - 1) / math.sqrt(2 * p * (1 - p))
    x = NormalDist().inv_cdf(p)
    terms: tuple[float, ...] = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + sum(term / float(degrees) ** power for power, term in enumerate(terms, start=1))


def scale(halved: bool) -> float:
    """The factor of ``1 - cosine``."""
    return 0.5 if halved else 1.0
