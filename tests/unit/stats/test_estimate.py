"""Intervals: known values, what they refuse, and when they do not decide."""

from __future__ import annotations

import math
import sys

import pytest

from droptime.errors import MissingExtraError, StatsError
from droptime.stats import Estimate, mean_interval, paired_difference


def test_a_textbook_interval() -> None:
    """Mean 5, sd 2.5819889, n 10, t(0.975, 9) = 2.262157."""
    values = [1.0, 9.0, 5.0, 5.0, 3.0, 7.0, 4.0, 6.0, 2.0, 8.0]
    estimate = mean_interval(values)
    sd = math.sqrt(60 / 9)
    assert estimate.mean == pytest.approx(5.0)
    assert estimate.sd == pytest.approx(sd)
    assert estimate.half_width == pytest.approx(2.2621571628 * sd / math.sqrt(10))
    assert (estimate.n, estimate.level) == (10, 0.95)


def test_a_difference_is_ours_minus_theirs_by_seed_whatever_the_order() -> None:
    ours, theirs = {3: 1.0, 1: 5.0, 2: 4.0}, {1: 1.0, 2: 1.0, 3: 0.0}
    assert paired_difference(ours, theirs) == mean_interval([4.0, 3.0, 1.0])


def test_swapping_sides_mirrors_the_interval() -> None:
    ours, theirs = {0: 0.3, 1: 0.5, 2: 0.1}, {0: 0.2, 1: 0.1, 2: 0.3}
    forth, back = paired_difference(ours, theirs), paired_difference(theirs, ours)
    assert (back.mean, back.low, back.high) == pytest.approx((-forth.mean, -forth.high, -forth.low))


def test_a_higher_level_is_a_wider_interval() -> None:
    values = [1.0, 2.0, 4.0]
    assert mean_interval(values, level=0.99).half_width > mean_interval(values).half_width


@pytest.mark.parametrize(
    ("low", "high", "sign"), [(0.1, 0.3, 1), (-0.3, -0.1, -1), (-0.1, 0.3, 0), (0.0, 0.2, 0)]
)
def test_the_sign_needs_the_whole_interval(low: float, high: float, sign: int) -> None:
    assert Estimate((low + high) / 2, 0.1, 3, low, high).sign == sign


@pytest.mark.parametrize("ours", [{0: 0.9, 1: 0.8}, {0: 0.3, 1: 0.2}])
def test_equal_differences_do_not_decide(ours: dict[int, float]) -> None:
    """0.9 - 0.8 and 0.8 - 0.7 differ in the last bit: that is rounding, not spread."""
    theirs = {seed: value - 0.1 for seed, value in ours.items()}
    estimate = paired_difference(ours, theirs)
    assert (estimate.sd, estimate.sign) == (0.0, 0)
    assert estimate.low == estimate.mean == estimate.high


def test_a_small_real_spread_is_kept() -> None:
    assert mean_interval([1.0, 1.0 + 1e-9]).sd > 0


def test_unpaired_seeds_are_named() -> None:
    with pytest.raises(StatsError, match=r"seed\(s\) \[1, 2\] are on one side only"):
        paired_difference({0: 1.0, 1: 1.0}, {0: 1.0, 2: 1.0})


@pytest.mark.parametrize("values", [[], [1.0]])
def test_one_value_has_no_spread(values: list[float]) -> None:
    with pytest.raises(StatsError, match="at least 2"):
        mean_interval(values)
    with pytest.raises(StatsError, match="at least 2"):
        paired_difference(dict(enumerate(values)), dict(enumerate(values)))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(StatsError, match="not finite"):
        mean_interval([1.0, bad, 2.0])
    with pytest.raises(StatsError, match="not finite"):
        paired_difference({0: 1.0, 1: bad}, {0: 1.0, 1: bad})


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_a_level_is_a_probability(level: float) -> None:
    with pytest.raises(StatsError, match="level"):
        mean_interval([1.0, 2.0], level=level)


def test_without_scipy_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'droptime\[report\]'"):
        mean_interval([1.0, 2.0])
