"""The paper's criterion on made-up records with known effects."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from droptime.records import EvalRow, read_study, write_manifest
from droptime.regime import Verdict, judge
from tests.synthetic_study import BOTH_ARMS, PAPER_ARMS, Effect, write_study


def _only(path: Path) -> Verdict:
    (verdict,) = judge(read_study(path))
    return verdict


def test_standard_clearly_better_is_overfitting(tmp_path: Path) -> None:
    write_study(tmp_path, effects={"standard": Effect(accuracy=0.03)})
    verdict = _only(tmp_path)
    assert verdict.regime == "overfitting"
    assert verdict.difference is not None
    assert 0 < verdict.difference.low < 0.03 < verdict.difference.high
    assert verdict.sentence.startswith(
        "Dropout: overfitting. Test accuracy with standard (standard(0.1)) is higher than with "
        "none: +"
    )
    assert verdict.sentence.endswith("n = 5 seeds.")
    assert "late dropout" in verdict.advice
    assert "overfitting (Liu et al. 2023)" in verdict.advice


def test_standard_clearly_worse_is_underfitting(tmp_path: Path) -> None:
    write_study(tmp_path, effects={"standard": Effect(accuracy=-0.03)})
    verdict = _only(tmp_path)
    assert verdict.regime == "underfitting"
    assert verdict.difference is not None
    assert verdict.difference.high < 0
    assert "is lower than with none: \N{MINUS SIGN}" in verdict.sentence
    assert "early dropout" in verdict.advice


def test_an_interval_with_zero_in_it_is_undecided_and_says_how_many_seeds(tmp_path: Path) -> None:
    write_study(tmp_path, effects={"standard": Effect(accuracy=0.004)}, noise=0.01)
    verdict = _only(tmp_path)
    assert verdict.regime == "undecided"
    assert verdict.difference is not None
    assert verdict.difference.low <= 0 <= verdict.difference.high
    assert verdict.seeds_to_decide is not None
    assert verdict.seeds_to_decide > 5
    assert f"About {verdict.seeds_to_decide} seeds would decide with 80% chance" in verdict.sentence
    assert "The interval includes zero." in verdict.sentence
    assert "rough guess" in verdict.sentence
    assert verdict.advice.startswith("No advice")


def test_both_kinds_of_drop_are_judged_apart_and_by_curve_not_by_name(tmp_path: Path) -> None:
    arms = dict(BOTH_ARMS)
    arms["holds-all-along"] = arms.pop("standard-drop-path")
    effects = {"standard-dropout": Effect(0.03), "holds-all-along": Effect(-0.03)}
    write_study(tmp_path, arms=arms, effects=effects)
    verdicts = {v.family: v for v in judge(read_study(tmp_path))}
    assert {k: v.regime for k, v in verdicts.items()} == {
        "dropout": "overfitting",
        "drop_path": "underfitting",
    }
    assert verdicts["drop_path"].standard == "holds-all-along"
    assert verdicts["drop_path"].sentence.startswith("Stochastic depth: underfitting.")
    assert "early stochastic depth" in verdicts["drop_path"].advice


def test_two_standard_rates_are_two_verdicts(tmp_path: Path) -> None:
    arms: dict[str, dict[str, str]] = {"none": {}}
    arms |= {f"p{p}": {"dropout": f"standard(0.{p})"} for p in (1, 5)}
    write_study(tmp_path, arms=arms, effects={"p1": Effect(0.03), "p5": Effect(-0.03)})
    found = [(v.standard, v.regime) for v in judge(read_study(tmp_path))]
    assert found == [("p1", "overfitting"), ("p5", "underfitting")]


def test_an_arm_that_drives_both_kinds_is_no_standard_arm(tmp_path: Path) -> None:
    both = {"dropout": "standard(0.1)", "drop_path": "standard(0.1)"}
    write_study(tmp_path, arms={"none": {}, "standard": both}, seeds=(0, 1))
    assert [v.regime for v in judge(read_study(tmp_path))] == ["unknown", "unknown"]


def test_the_baseline_is_the_arm_without_curves(tmp_path: Path) -> None:
    """A study may compare with another arm; the criterion still compares with no drop."""
    write_study(tmp_path, effects={"standard": Effect(0.03)})
    study = read_study(tmp_path)
    write_manifest(tmp_path, replace(study.manifest, baseline="standard"))
    verdict = _only(tmp_path)
    assert (verdict.baseline, verdict.regime) == ("none", "overfitting")


@pytest.mark.parametrize(
    ("arms", "needs"),
    [
        ({"none": {}}, "an arm that holds one rate all along, such as dropout='standard(0.1)'"),
        ({"none": {}, "e": {"drop_path": "early(0.1, until=9%)"}}, "drop_path='standard(0.1)'"),
        ({"standard": {"dropout": "standard(0.1)"}}, "an arm that drops nothing"),
    ],
)
def test_a_missing_arm_is_asked_for(
    tmp_path: Path, arms: dict[str, dict[str, str]], needs: str
) -> None:
    write_study(tmp_path, arms=arms)
    verdict = _only(tmp_path)
    assert verdict.regime == "unknown"
    assert verdict.difference is None
    assert needs in verdict.sentence
    assert "cannot tell yet: needs" in verdict.sentence
    assert verdict.advice.startswith("No advice")


def test_unfinished_runs_are_named_and_nothing_is_peeked_at(tmp_path: Path) -> None:
    write_study(
        tmp_path,
        effects={"standard": Effect(0.03)},
        finished=lambda arm, seed: (arm, seed) != ("standard", 4),
        begun=lambda arm, seed: (arm, seed) != ("none", 2),
    )
    verdict = _only(tmp_path)
    assert verdict.regime == "unknown"
    assert "needs 2 unfinished run(s): none-s2, standard-s4." in verdict.sentence


def test_unfinished_runs_of_other_arms_do_not_matter(tmp_path: Path) -> None:
    write_study(
        tmp_path, effects={"standard": Effect(0.03)}, finished=lambda arm, seed: arm != "late"
    )
    assert _only(tmp_path).regime == "overfitting"


def test_many_unfinished_runs_are_counted(tmp_path: Path) -> None:
    write_study(tmp_path, begun=lambda arm, seed: False)
    assert "10 unfinished run(s)" in _only(tmp_path).sentence
    assert "and 4 more" in _only(tmp_path).sentence


def test_one_seed_is_not_enough(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=(0,))
    assert "at least 2 seeds" in _only(tmp_path).sentence


def test_a_diverged_run_is_named(tmp_path: Path) -> None:
    def diverge(row: EvalRow, arm: str, seed: int) -> EvalRow:
        lost = (arm, seed) == ("standard", 3)
        return replace(row, test_accuracy=math.nan) if lost else row

    write_study(tmp_path, final=diverge)
    assert "needs a finite test accuracy from standard-s3." in _only(tmp_path).sentence


def test_equal_differences_decide_nothing(tmp_path: Path) -> None:
    """Two seeds that both gain one test image would make an interval of no width."""

    def coarse(row: EvalRow, arm: str, seed: int) -> EvalRow:
        return replace(row, test_accuracy=0.9 + (0.01 if arm == "standard" else 0.0))

    write_study(tmp_path, seeds=(0, 1), final=coarse)
    verdict = _only(tmp_path)
    assert verdict.regime == "undecided"
    assert "no spread to judge by" in verdict.sentence


def test_the_wing_that_judges_opens_without_torch(tmp_path: Path) -> None:
    write_study(tmp_path, arms=PAPER_ARMS)
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from droptime.records import read_study; from droptime.regime import judge\n"
        "print(judge(read_study(sys.argv[1]))[0].regime)"
    )
    made = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert made.stdout.strip() in ("undecided", "overfitting", "underfitting")
