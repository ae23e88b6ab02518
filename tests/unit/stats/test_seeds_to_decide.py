"""The number of seeds that would decide: its edges and its meaning."""

from __future__ import annotations

import pytest

from droptime.errors import StatsError
from droptime.stats import MOST_SEEDS, Estimate, seeds_to_decide
from droptime.stats.seeds import chance_to_decide


def _seen(mean: float, sd: float, *, n: int = 5, level: float = 0.95) -> Estimate:
    return Estimate(mean, sd, n, mean - 1, mean + 1, level)


@pytest.mark.parametrize(
    ("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10), (2.0, 5)]
)
def test_the_tabled_sizes_of_a_paired_t_test(effect: float, seeds: int) -> None:
    """Two-sided alpha 0.05, power 0.8: the familiar sizes (Cohen 1988, chapter 2)."""
    assert seeds_to_decide(_seen(effect, 1.0)) == seeds


def test_it_is_the_fewest_that_reach_the_power() -> None:
    seeds = seeds_to_decide(_seen(0.37, 1.0), power=0.9)
    assert seeds is not None
    assert chance_to_decide(0.37, seeds, level=0.95) >= 0.9
    assert chance_to_decide(0.37, seeds - 1, level=0.95) < 0.9


def test_direction_and_unit_do_not_matter() -> None:
    assert seeds_to_decide(_seen(-0.004, 0.01)) == seeds_to_decide(_seen(40.0, 100.0))


def test_more_certainty_takes_more_seeds() -> None:
    usual = seeds_to_decide(_seen(0.5, 1.0))
    surer = seeds_to_decide(_seen(0.5, 1.0, level=0.99))
    safer = seeds_to_decide(_seen(0.5, 1.0), power=0.95)
    assert usual is not None
    assert surer is not None
    assert safer is not None
    assert min(surer, safer) > usual


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (0.0, 0.0), (1.0, 0.0), (1e-9, 1.0)])
def test_where_no_sensible_number_exists_there_is_none(mean: float, sd: float) -> None:
    assert seeds_to_decide(_seen(mean, sd)) is None


def test_the_strongest_effect_still_needs_two() -> None:
    assert seeds_to_decide(_seen(1e6, 1.0)) == 2


def test_the_limit_itself_can_be_the_answer() -> None:
    effect = 0.0886819  # 1000 seeds reach 0.8, 999 do not
    assert chance_to_decide(effect, MOST_SEEDS, level=0.95) >= 0.8
    assert chance_to_decide(effect, MOST_SEEDS - 1, level=0.95) < 0.8
    assert seeds_to_decide(_seen(effect, 1.0)) == MOST_SEEDS


@pytest.mark.parametrize("power", [0.0, 1.0, 80.0])
def test_power_is_a_probability(power: float) -> None:
    with pytest.raises(StatsError, match="power"):
        seeds_to_decide(_seen(1.0, 1.0), power=power)
