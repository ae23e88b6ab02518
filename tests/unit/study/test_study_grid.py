from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from droptime.errors import ConfigError
from droptime.study import Grid, make_arms

ARMS: dict[str, dict[str, str]] = {
    "none": {},
    "early": {"dropout": "early(0.1, until=50%, shape=linear)"},
}


PLAIN = Grid(name="g", arms=ARMS, seeds=(0, 1), base={"epochs": 3})


def grid(**changes: object) -> Grid:
    return replace(PLAIN, **changes)  # type: ignore[arg-type]


def test_jobs_come_seed_by_seed_so_that_pairs_are_complete() -> None:
    jobs = grid(seeds=(4, 2)).jobs("out")
    assert [job.path.as_posix() for job in jobs] == [
        "out/runs/none-s4",
        "out/runs/early-s4",
        "out/runs/none-s2",
        "out/runs/early-s2",
    ]


def test_a_job_is_the_base_with_its_arm_and_seed() -> None:
    none, early = grid(seeds=(3,)).jobs("out")
    assert none.config == {"epochs": 3, "arm": "none", "seed": 3}
    assert early.config == {**none.config, "arm": "early", **ARMS["early"]}


def test_the_manifest_tells_the_plan() -> None:
    manifest = grid(base={"epochs": 3, "betas": (0.9, 0.99)}).manifest()
    assert manifest.seeds == (0, 1)
    assert manifest.arms == ARMS
    assert manifest.base == {"epochs": 3, "betas": [0.9, 0.99]}


def test_curves_are_passed_on_in_one_spelling() -> None:
    spelled = grid(arms={"none": {}, "a": {"dropout": " early( 0.10,until = 50% ) "}})
    plain = grid(arms={"none": {}, "a": {"dropout": "early(0.1, until=50%)"}})
    assert spelled.manifest() == plain.manifest()
    assert spelled.jobs("x") == plain.jobs("x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "becomes a folder"),
        ({"arms": {"none": {}, "../x": {}}}, "becomes a folder"),
        ({"arms": {"early": ARMS["early"]}}, "baseline 'none' is not among"),
        ({"baseline": "early"}, "must be empty"),
        ({"arms": {"none": {}, "a": {"droput": "standard(0.1)"}}}, "drives 'droput'"),
        ({"arms": {"none": {}, "a": {"dropout": "early(0.1"}}}, "dropout of arm 'a'"),
        ({"arms": {"none": {}, "a": {"dropout": "standard(1.5)"}}}, "dropout of arm 'a'"),
        ({"seeds": ()}, "at least one seed"),
        ({"seeds": (1, 1)}, "hold one twice"),
        ({"seeds": (-1,)}, "Seed -1"),
        ({"seeds": (True,)}, "Seed True"),
        ({"base": {"seed": 3}}, "sets 'seed'"),
        ({"base": {"dropout": "standard(0.1)"}}, "sets 'dropout'"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grid(**changes)


RATES = {"dropout": 0.1, "drop_path": 0.4}


def test_the_paper_arms_of_one_kind() -> None:
    assert make_arms(
        ["none", "standard", "early", "late"], drop="drop_path", rates=RATES, cutoff="5ep"
    ) == {
        "none": {},
        "standard-drop-path": {"drop_path": "standard(0.4)"},
        "early-drop-path": {"drop_path": "early(0.4, until=5ep)"},
        "late-drop-path": {"drop_path": "late(0.4, since=5ep)"},
    }


def test_both_kinds_share_the_baseline_and_are_never_mixed() -> None:
    arms = make_arms(["none", "standard"], drop="both", rates=RATES)
    assert list(arms) == ["none", "standard-dropout", "standard-drop-path"]
    assert [len(curves) for curves in arms.values()] == [0, 1, 1]


def test_an_arm_of_ones_own() -> None:
    arms = make_arms(["none", "mine=early(0.3, until=2ep)"], rates=RATES)
    assert arms["mine-dropout"] == {"dropout": "early(0.3, until=2ep)"}


def test_a_mistyped_arm_is_answered_with_the_near_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'early'"):
        make_arms(["erly"], rates=RATES)
    with pytest.raises(ConfigError, match="NAME=CURVE"):
        make_arms(["xyz"], rates=RATES)


def test_an_arm_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="given twice"):
        make_arms(["none", "late", "late"], rates=RATES)
    with pytest.raises(ConfigError, match="given twice"):
        make_arms(["none", "none"], rates=RATES)
    with pytest.raises(ConfigError, match="given twice"):
        make_arms(["none", "a=standard(0.1)", "a=standard(0.2)"], rates=RATES)


def test_an_unknown_drop_is_refused() -> None:
    with pytest.raises(ConfigError, match="dropout, drop_path, both"):
        make_arms(["none"], drop="droppath", rates=RATES)


@pytest.mark.parametrize(
    ("curve", "epochs", "said"),
    [
        ("early(0.1, until=50ep)", 2, "50ep is past the end of a run of 2 epochs"),
        ("join(0ep: standard(0.1), 2ep: standard(0.2))", 2, "never be in force"),
        ("join(0ep: early(0.1, until=3ep), 2ep: standard(0.2))", 5, "past the end"),
        ("piecewise(0%: 0.0, 50%: 0.1, 1ep: 0.2)", 5, "does not fit"),
    ],
)
def test_an_arm_that_no_such_run_can_follow_is_refused_at_once(
    curve: str, epochs: int, said: str
) -> None:
    with pytest.raises(ConfigError, match="The dropout of arm 'odd'") as caught:
        Grid(
            name="x",
            arms={"none": {}, "odd": {"dropout": curve}},
            seeds=(0,),
            base={"epochs": epochs},
        )
    assert caught.match(said)


@pytest.mark.parametrize(
    "curve",
    [
        "early(0.1, until=2ep)",
        "early(0.1, until=700st)",
        "piecewise(0ep: 0.0, 1ep: 0.1, 100st: 0.2)",
        "join(0ep: early(0.1, until=1ep), 100st: standard(0.2))",
    ],
)
def test_what_depends_on_the_data_is_left_to_training(curve: str) -> None:
    Grid(name="x", arms={"none": {}, "odd": {"dropout": curve}}, seeds=(0,), base={"epochs": 2})
