"""The paper's observations and crossings of zero, on made-up records with known effects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from droptime.records import DynamicsRow, Estimate
from droptime.regime import (
    Moment,
    Observation,
    arm_series,
    crossing_text,
    find_crossings,
    observe,
    paired_series,
)
from droptime.stats import mean_interval
from tests.synthetic_dynamics import ARMS, STEPS, TOTAL, write_dynamics_study

BOTH = {**ARMS, "early": {"dropout": "early(0.1, until=20%)"}}


def _judged(found: Sequence[Observation]) -> dict[str, str]:
    return {each.measure: each.judgement for each in found}


def _value(row: DynamicsRow, **values: float) -> DynamicsRow:
    made = {name: Estimate(value, 0.0) for name, value in values.items()}
    return replace(row, values={**row.values, **made})


def test_a_study_like_the_papers_agrees(tmp_path: Path) -> None:
    found = observe(write_dynamics_study(tmp_path, arms=BOTH))
    assert _judged(found) == dict.fromkeys(
        ("gradient_norm", "distance", "variance", "error"), "agrees"
    )
    assert {each.arm for each in found} == {"standard"}  # early does not drop later
    norm, distance, variance, _ = found
    assert norm.evidence[0].difference.mean == pytest.approx(-0.14, abs=0.002)
    assert distance.evidence[0].difference.mean == pytest.approx(0.12, abs=0.02)
    early, later = variance.evidence
    assert (early.first, early.last, later.first, later.last) == (0, 400, 2000, 4000)
    assert early.difference.n == 5


def test_the_evidence_is_a_paired_interval_over_seeds(tmp_path: Path) -> None:
    study = write_dynamics_study(tmp_path)
    by_hand = []
    for ours, theirs in zip(study.of_arm("standard"), study.of_arm("none"), strict=True):
        late = [
            mine.values["error"].value - other.values["error"].value
            for mine, other in zip(ours.dynamics, theirs.dynamics, strict=True)
            if mine.step >= TOTAL / 2
        ]
        by_hand.append(sum(late) / len(late))
    evidence = observe(study)[3].evidence[1]
    expected = mean_interval(by_hand)
    assert (evidence.difference.low, evidence.difference.high) == pytest.approx(
        (expected.low, expected.high)
    )
    assert f"{expected.mean:+.3f}"[:5] in observe(study)[3].sentence
    assert "later (iterations 2,000 to 4,000, n = 5)" in observe(study)[3].sentence


def test_the_other_way_disagrees_and_one_phase_is_enough(tmp_path: Path) -> None:
    def other_way(row: DynamicsRow, arm: str, seed: int) -> DynamicsRow:
        norm, gap = row.values["gradient_norm"].value, 0.05 if arm == "standard" else 0.0
        wave = 0.001 * math.sin(row.step + 5 * seed + 9 * len(arm))
        return _value(
            row,
            gradient_norm=norm * (1.3 if arm == "standard" else 1),
            variance=0.4 - gap + wave,  # lower all along: early agrees, later does not
            error=0.4 + gap + wave,
        )

    found = observe(write_dynamics_study(tmp_path, change=other_way))
    assert _judged(found) == {
        "gradient_norm": "disagrees",
        "distance": "agrees",
        "variance": "disagrees",
        "error": "disagrees",
    }
    assert [each.judgement for each in found[2].evidence] == ["agrees", "disagrees"]


def test_no_effect_cannot_be_told(tmp_path: Path) -> None:
    def noise(row: DynamicsRow, arm: str, seed: int) -> DynamicsRow:
        rng = np.random.default_rng([row.step, seed, len(arm)])
        return _value(row, variance=0.4 + rng.normal(0, 0.05), error=0.4)

    found = _judged(observe(write_dynamics_study(tmp_path, change=noise)))
    assert (found["variance"], found["error"]) == ("cannot tell", "cannot tell")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    one = observe(write_dynamics_study(tmp_path / "one", seeds=(0,)))
    assert {each.judgement for each in one} == {"cannot tell"}
    assert all("at least 2 seeds" in each.sentence for each in one)
    killed = write_dynamics_study(tmp_path / "killed", finished=lambda arm, seed: seed != 3)
    assert "2 unfinished run(s): none-s3, standard-s3" in observe(killed)[0].sentence
    arms = {name: BOTH[name] for name in ("none", "early")}
    none = observe(write_dynamics_study(tmp_path / "no arm", arms=arms))
    assert len(none) == 4
    assert "an arm that holds one rate all along" in none[0].sentence


def test_a_value_that_is_absent_or_not_finite_judges_nothing(tmp_path: Path) -> None:
    def broken(row: DynamicsRow, arm: str, seed: int) -> DynamicsRow:
        values = {name: value for name, value in row.values.items() if name != "error"}
        return _value(replace(row, values=values), distance=math.nan)

    found = observe(write_dynamics_study(tmp_path, change=broken))
    assert _judged(found)["distance"] == _judged(found)["error"] == "cannot tell"
    assert "finite values" in found[1].sentence


@pytest.mark.parametrize("step", [100, 3000, TOTAL])
def test_a_value_that_is_not_finite_at_one_step_judges_no_phase_with_it(
    tmp_path: Path, step: int
) -> None:
    """Else a run that ends badly would be judged by what it was before."""

    def lost(row: DynamicsRow, arm: str, seed: int) -> DynamicsRow:
        names = ("gradient_norm", "distance", "variance")
        return _value(row, **dict.fromkeys(names, math.nan)) if bad(row, arm, seed) else row

    def bad(row: DynamicsRow, arm: str, seed: int) -> bool:
        return (row.step, arm, seed) == (step, "standard", 2)

    found = observe(write_dynamics_study(tmp_path, change=lost))
    assert _judged(found) == {
        "gradient_norm": "cannot tell",
        "distance": "cannot tell" if step == TOTAL else "agrees",
        "variance": "cannot tell",
        "error": "agrees",
    }
    assert "finite values" in found[0].sentence


def test_where_nothing_was_measured_nothing_is_observed(tmp_path: Path) -> None:
    assert observe(write_dynamics_study(tmp_path, change=lambda row, arm, seed: None)) == ()


def test_a_step_that_one_run_lacks_is_left_out_so_n_stays(tmp_path: Path) -> None:
    def hole(row: DynamicsRow, arm: str, seed: int) -> DynamicsRow | None:
        if arm == "none" and seed == 1 and row.step == 100:
            return None
        lost = arm == "standard" and seed == 2 and row.step == 200
        return _value(row, variance=math.inf) if lost else row

    study = write_dynamics_study(tmp_path, change=hole)
    pairs = paired_series(study, "standard", "none", name="variance")
    assert [m.step for m in pairs] == [step for step in STEPS if step not in (100, 200)]
    assert {m.n for m in pairs} == {5}
    assert 200 in [m.step for m in arm_series(study, "none", "variance")]


def _moments(*means: float, steps: Sequence[int] = range(0, 10_000, 10)) -> list[Moment]:
    """Moments whose intervals reach 1 to either side."""
    found = []
    for step, mean in zip(steps, means, strict=False):
        values = {seed: mean + side for seed, side in enumerate((-0.4, 0.0, 0.4))}
        found.append(Moment(step, 0.0, values, mean_interval(list(values.values()))))
    return found


def test_a_crossing_lies_between_two_settled_sides() -> None:
    (found,) = find_crossings(_moments(-3, -2, -0.5, 0.5, 3, 3))
    assert (found.after, found.before, found.at, found.rises) == (10, 40, 25.0, True)
    (found,) = find_crossings(_moments(3, 2, -3, -3))
    assert (found.after, found.before, found.at, found.rises) == (10, 20, 14.0, False)


@pytest.mark.parametrize("means", [(), (-3,), (-3, 3), (-3, -3, 3), (-3, 0, -3, 3, 0, 3), (-3, -3)])
def test_one_interval_alone_settles_no_side(means: tuple[float, ...]) -> None:
    assert find_crossings(_moments(*means)) == ()


def test_an_outlier_between_settled_sides_does_not_hide_the_crossing() -> None:
    (found,) = find_crossings(_moments(-3, -3, 2, -2, 3, 3))
    assert (found.after, found.before) == (10, 40)


def test_every_crossing_is_told() -> None:
    moments = _moments(-3, -3, 3, 3, 0, -3, -3)
    assert [each.rises for each in find_crossings(moments)] == [True, False]
    assert crossing_text(moments) == (
        "crosses from below zero to above at about iteration 15, between 10 and 20; then "
        "crosses from above zero to below at about iteration 40, between 30 and 50"
    )


def test_no_crossing_says_what_the_intervals_say() -> None:
    assert crossing_text(_moments(-3, -3, 0, 0)) == (
        "no crossing seen: of 4 intervals 2 below zero, none above"
    )


@pytest.mark.parametrize("seeds", [3, 5])
def test_noise_alone_seldom_crosses(seeds: int) -> None:
    """50 independent moments without an effect: one interval in forty lies on each side."""
    rng = np.random.default_rng(20230302)
    crossed = 0
    for _ in range(400):
        draws = rng.normal(size=(50, seeds))
        moments = [
            Moment(step, 0.0, dict(enumerate(row)), mean_interval(list(row)))
            for step, row in enumerate(draws)
        ]
        crossed += bool(find_crossings(moments))
    assert crossed / 400 < 0.01
