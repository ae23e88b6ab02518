"""Intervals and power against SciPy's tests, brute simulation and their own promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from droptime.stats import mean_interval, paired_difference, seeds_to_decide
from droptime.stats.seeds import chance_to_decide

numbers = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))


@given(values=st.lists(numbers, min_size=2, max_size=12, unique=True), level=st.floats(0.5, 0.999))
def test_mean_interval_is_scipys_one_sample_t(values: list[float], level: float) -> None:
    ours = mean_interval(values, level=level)
    theirs = scipy_stats.ttest_1samp(values, 0.0).confidence_interval(level)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-9)


@given(
    pairs=st.lists(st.tuples(numbers, numbers), min_size=3, max_size=12).filter(
        lambda pairs: len({round(a - b, 3) for a, b in pairs}) > 1
    )
)
def test_paired_difference_is_scipys_paired_t(pairs: list[tuple[float, float]]) -> None:
    left, right = ({i: p[side] for i, p in enumerate(pairs)} for side in (0, 1))
    ours = paired_difference(left, right)
    test = scipy_stats.ttest_rel(list(left.values()), list(right.values()))
    theirs = test.confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-6, abs=1e-6)
    if abs(test.pvalue - 0.05) > 1e-9:
        assert (ours.sign != 0) == (test.pvalue < 0.05)


def test_a_95_percent_interval_covers_95_times_in_100() -> None:
    """4000 draws of 5: a normal quantile in place of Student's would cover only 88 %."""
    rng, draws = np.random.default_rng(20230302), 4000
    seed_effect, noise = rng.normal(0, 3, (draws, 5)), rng.normal(0, 1, (2, draws, 5))
    covered = 0
    for shared, ours, theirs in zip(seed_effect, 0.7 + noise[0], noise[1], strict=True):
        left, right = (dict(enumerate(shared + own)) for own in (ours, theirs))
        estimate = paired_difference(left, right)
        covered += estimate.low <= 0.7 <= estimate.high
    four_sigma = 4 * math.sqrt(0.95 * 0.05 / draws)
    assert covered / draws == pytest.approx(0.95, abs=four_sigma)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
@pytest.mark.parametrize("effect", [0.05, 0.5, 1.0])
def test_power_is_scipys_noncentral_t(effect: float, n: int) -> None:
    t, shift = scipy_stats.t.ppf(0.975, n - 1), effect * math.sqrt(n)
    tails = scipy_stats.nct.sf(t, n - 1, shift) + scipy_stats.nct.cdf(-t, n - 1, shift)
    assert chance_to_decide(effect, n, level=0.95) == pytest.approx(tails, abs=1e-6)


def test_the_promised_seeds_decide_four_times_in_five() -> None:
    """Simulate the plan: draw that many seeds again and again, count intervals off zero."""
    rng, draws = np.random.default_rng(7), 3000
    seen = mean_interval([0.0, 1.0, 2.0, -0.5, 1.1])
    seeds = seeds_to_decide(seen)
    assert seeds is not None
    repeats = rng.normal(seen.mean, seen.sd, (draws, seeds))
    decided = sum(mean_interval(repeat).sign != 0 for repeat in repeats) / draws
    promised = chance_to_decide(seen.mean / seen.sd, seeds, level=0.95)
    assert 0.8 <= promised < 0.9
    assert decided == pytest.approx(promised, abs=4 * math.sqrt(0.25 / draws))
