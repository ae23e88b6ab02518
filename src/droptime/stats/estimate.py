"""A mean with its Student-t interval, over seeds or over pairs of runs with the same seed.

    mean +- t[1 - (1 - level)/2, n - 1] * sd / sqrt(n)          sd with n - 1 in the denominator

Source: Student (1908), "The probable error of a mean". Exact for normal values; with few seeds
normality cannot be checked, so read an interval as a guide to the spread over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from droptime.errors import MissingExtraError, StatsError

LEVEL = 0.95
"""The confidence level used throughout the house."""

_ROUNDING = 8 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Estimate:
    """A mean of ``n`` values and the interval that covers the true mean with chance ``level``.

    Attributes:
        mean: the sample mean.
        sd: the sample standard deviation (n - 1); exactly 0 if only rounding tells values apart.
        n: how many values, at least 2.
        low: lower end of the interval.
        high: upper end of the interval.
        level: confidence level in (0, 1).
    """

    mean: float
    sd: float
    n: int
    low: float
    high: float
    level: float = LEVEL

    @property
    def half_width(self) -> float:
        """Half the interval's length."""
        return (self.high - self.low) / 2

    @property
    def sign(self) -> int:
        """1 if the interval lies above zero, -1 if below, 0 if it does not decide.

        Values that are all equal leave no spread to judge by, so they do not decide either.
        """
        if self.sd == 0:
            return 0
        return (self.low > 0) - (self.high < 0)


def mean_interval(values: Sequence[float], *, level: float = LEVEL) -> Estimate:
    """Estimate a mean with its two-sided Student-t interval.

    Raises:
        StatsError: fewer than 2 values, a value that is not finite, or a level outside (0, 1).
        MissingExtraError: SciPy is not installed.

    >>> e = mean_interval([1.0, 2.0, 3.0])
    >>> e.mean, e.sd, e.n, round(e.low, 3), round(e.high, 3)
    (2.0, 1.0, 3, -0.484, 4.484)
    """
    array = _finite(values)
    return _estimate(array, level=level, scale=float(np.abs(array).max(initial=0.0)))


def paired_difference(
    ours: Mapping[int, float], theirs: Mapping[int, float], *, level: float = LEVEL
) -> Estimate:
    """Estimate the mean of ``ours - theirs``, paired by key (the seed).

    Pairing takes out what the two runs of a seed share (data order, initial weights), so the
    interval speaks of the difference alone.

    Raises:
        StatsError: the seeds are not the same, there are fewer than 2, a value is not finite,
            or the level is outside (0, 1).
        MissingExtraError: SciPy is not installed.

    >>> e = paired_difference({0: 0.9, 1: 0.8, 2: 0.9}, {0: 0.8, 1: 0.65, 2: 0.8})
    >>> round(e.mean, 3), e.n, e.sign
    (0.117, 3, 1)
    """
    if ours.keys() != theirs.keys():
        alone = sorted(ours.keys() ^ theirs.keys())
        raise StatsError(
            f"cannot pair: seed(s) {alone} are on one side only. Give both sides the same seeds."
        )
    seeds = sorted(ours)
    left, right = _finite([ours[s] for s in seeds]), _finite([theirs[s] for s in seeds])
    scale = float(np.abs(np.concatenate([left, right])).max(initial=0.0))
    return _estimate(left - right, level=level, scale=scale)


def special() -> Any:  # noqa: ANN401 - SciPy ships no types
    """SciPy's special functions, imported when first needed.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    try:
        from scipy import special as module
    except ImportError as error:
        raise MissingExtraError("scipy", "report", "An interval") from error
    return module


def t_quantile(level: float, n: int) -> float:
    """The t that ``n`` values need for a two-sided interval of this level."""
    return float(special().stdtrit(n - 1, 0.5 + level / 2))


def _estimate(values: np.ndarray, *, level: float, scale: float) -> Estimate:
    n = len(values)
    if n < 2:
        raise StatsError(f"{n} value(s) have no spread to judge by: an interval needs at least 2.")
    if not 0 < level < 1:
        raise StatsError(f"level={level!r}: expected a number between 0 and 1, such as 0.95.")
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    if sd <= _ROUNDING * scale:
        sd = 0.0
    reach = t_quantile(level, n) * sd / math.sqrt(n)
    return Estimate(mean=mean, sd=sd, n=n, low=mean - reach, high=mean + reach, level=level)


def _finite(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise StatsError(
            f"{list(map(float, values))} holds a value that is not finite: leave such runs out "
            "and say so, or mend them."
        )
    return array
