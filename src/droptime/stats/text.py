"""Estimates in words: how many digits, which sign, which brackets; the same everywhere."""

from __future__ import annotations

import math

from droptime.stats.estimate import Estimate

MINUS = "\N{MINUS SIGN}"
_MOST_DIGITS = 12


def plain(value: float, *, digits: int) -> str:
    """Write a number with a true minus sign, and zero without one.

    >>> plain(-1.25, digits=1), plain(-0.001, digits=1)
    ('−1.2', '0.0')
    """  # noqa: RUF002 - the true minus sign
    rounded = round(value, digits) + 0.0
    return f"{rounded:.{digits}f}".replace("-", MINUS)


def signed(value: float, *, digits: int) -> str:
    """Write a number with its sign, also when positive.

    >>> signed(1.25, digits=2), signed(-3, digits=0), signed(0.0, digits=1)
    ('+1.25', '−3', '0.0')
    """  # noqa: RUF002 - the true minus sign
    text = plain(value, digits=digits)
    return f"+{text}" if round(value, digits) > 0 else text


def mean_text(estimate: Estimate, *, digits: int, scale: float = 1.0) -> str:
    """Write ``mean ± half the interval``.

    >>> mean_text(Estimate(0.905, 0.01, 5, 0.895, 0.915), digits=1, scale=100)
    '90.5 ± 1.0'
    """
    half = plain(estimate.half_width * scale, digits=digits)
    return f"{plain(estimate.mean * scale, digits=digits)} ± {half}"


def interval_text(estimate: Estimate, *, digits: int, scale: float = 1.0) -> str:
    """Write a difference's interval, signs included.

    Where the interval leaves out zero, so does its text: it gets the digits it takes.

    >>> interval_text(Estimate(0.005, 0.01, 5, -0.002, 0.012), digits=1, scale=100)
    '[−0.2, +1.2]'
    >>> interval_text(Estimate(0.005, 0.01, 5, 0.0004, 0.0096), digits=1, scale=100)
    '[+0.04, +0.96]'
    """  # noqa: RUF002 - the true minus sign
    ends = [estimate.low * scale, estimate.high * scale]
    while estimate.sign and any(round(end, digits) == 0 for end in ends) and digits < _MOST_DIGITS:
        digits += 1
    return f"[{', '.join(signed(end, digits=digits) for end in ends)}]"


def useful_digits(estimate: Estimate, *, scale: float = 1.0, most: int = 6) -> int:
    """Decimals at which half the interval shows two digits that matter.

    >>> useful_digits(Estimate(0.05, 0.01, 5, 0.0376, 0.0624))
    3
    """
    half = estimate.half_width * scale
    return min(max(1 - math.floor(math.log10(half)), 0), most) if half > 0 else 4
