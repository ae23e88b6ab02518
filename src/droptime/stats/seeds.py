"""How many seeds would decide a paired comparison that this many did not.

Suppose the true mean difference and the true spread were those observed. With ``n`` seeds the
interval then lies wholly on one side of zero with chance

    power(n) = P(|T| > t[1 - (1 - level)/2, n - 1]),    T ~ noncentral t(n - 1, sqrt(n) * mean/sd)

Source: the power of the t test; Cohen (1988), "Statistical Power Analysis", chapter 2. It is a
plan, not a promise: mean and spread of a few seeds are rough, so this number is rougher.
"""

from __future__ import annotations

import math

import numpy as np

from droptime.errors import StatsError
from droptime.stats.estimate import Estimate, special, t_quantile

POWER = 0.8
"""The chance of deciding that a planned number of seeds should give."""

MOST_SEEDS = 1000
"""Beyond this many seeds the answer is "too many to be worth it"."""


_NODES = 400


def seeds_to_decide(difference: Estimate, *, power: float = POWER) -> int | None:
    """Return the fewest seeds that give the chance ``power`` of an interval off zero.

    Returns None where no sensible number exists: the observed mean is zero, the values are all
    equal (no spread known), or more than :data:`MOST_SEEDS` would be needed.

    Raises:
        StatsError: ``power`` is not in (0, 1).

    >>> from droptime.stats import mean_interval
    >>> seeds_to_decide(mean_interval([0.0, 1.0, -1.0, 2.0]))
    55
    """
    if not 0 < power < 1:
        raise StatsError(f"power={power!r}: expected a number between 0 and 1, such as 0.8.")
    if difference.mean == 0 or difference.sd == 0:
        return None
    effect = abs(difference.mean) / difference.sd
    if chance_to_decide(effect, MOST_SEEDS, level=difference.level) < power:
        return None
    too_few, enough = 1, MOST_SEEDS
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if chance_to_decide(effect, middle, level=difference.level) < power:
            too_few = middle
        else:
            enough = middle
    return enough


def chance_to_decide(effect: float, n: int, *, level: float) -> float:
    """Return the chance that ``n`` seeds decide, for a true mean of ``effect`` spreads.

    The tail on the wrong side of zero counts too, as the interval would decide (wrongly). The
    noncentral t is integrated over the sample spread s, given which it is normal:

        power = E[Phi(shift - t s) + Phi(-shift - t s)],    (n - 1) s^2 ~ chi2(n - 1)

    by Gauss-Legendre quadrature over the quantiles of s; SciPy's own noncentral t has no value
    for strong effects.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    quantiles, half = (nodes + 1) / 2, (n - 1) / 2
    functions = special()
    spread = np.sqrt(functions.gammaincinv(half, quantiles) / half)
    t, shift = t_quantile(level, n), math.sqrt(n) * effect
    beyond = functions.ndtr(shift - t * spread) + functions.ndtr(-shift - t * spread)
    return float(weights @ beyond / 2)
