from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from droptime.errors import ConfigError, RecordError
from droptime.records import EvalRow, RunWriter, Summary, read_study
from droptime.study import Grid, locked, settle

PLAN = Grid(
    name="plan",
    arms={"none": {}, "early": {"dropout": "early(0.1, until=50%)"}},
    seeds=(0, 1),
    base={"epochs": 3, "model_args": {"depth": 2}, "betas": (0.9, 0.99)},
)


def test_a_new_folder_takes_the_plan(tmp_path: Path) -> None:
    assert settle(tmp_path / "new", PLAN) == ()
    assert read_study(tmp_path / "new").manifest == PLAN.manifest()


def test_the_same_plan_continues(tmp_path: Path) -> None:
    settle(tmp_path, PLAN)
    assert settle(tmp_path, PLAN) == ()


def test_more_arms_and_seeds_are_added_and_said(tmp_path: Path) -> None:
    settle(tmp_path, PLAN)
    wider = replace(
        PLAN, arms={**PLAN.arms, "late": {"dropout": "late(0.1, since=50%)"}}, seeds=(0, 1, 2, 3)
    )
    assert settle(tmp_path, wider) == ("arms added: late", "seeds added: 2, 3")
    assert read_study(tmp_path).manifest == wider.manifest()


def _finish(folder: Path, grid: Grid) -> None:
    measured = EvalRow(0, 1.0, 2.1, 0.3, 2.2, 0.25)
    for job in grid.jobs(folder):
        if not job.finished:
            with RunWriter.create(job.path, job.config) as run:
                run.finish(Summary(1, 0.5, measured, {}))


def test_seeds_added_to_a_finished_study_are_remembered(tmp_path: Path) -> None:
    def held() -> tuple[int, ...]:
        return read_study(tmp_path).manifest.judged_at

    settle(tmp_path, PLAN)
    settle(tmp_path, replace(PLAN, seeds=(0, 1, 2)))
    assert held() == ()
    _finish(tmp_path, replace(PLAN, seeds=(0, 1, 2)))
    settle(tmp_path, replace(PLAN, seeds=(0, 1, 2)))
    assert held() == ()
    settle(tmp_path, replace(PLAN, seeds=(0, 1, 2, 3)))
    assert held() == (3,)
    settle(tmp_path, replace(PLAN, seeds=(0, 1, 2, 3, 4)))
    assert held() == (3,)
    _finish(tmp_path, replace(PLAN, seeds=(0, 1, 2, 3, 4)))
    wider = {**PLAN.arms, "late": {"dropout": "late(0.1, since=50%)"}}
    settle(tmp_path, replace(PLAN, arms=wider, seeds=(0, 1, 2, 3, 4)))
    assert held() == (3,)
    _finish(tmp_path, replace(PLAN, arms=wider, seeds=(0, 1, 2, 3, 4)))
    settle(tmp_path, replace(PLAN, arms=wider, seeds=(0, 1, 2, 3, 4, 5)))
    assert held() == (3, 5)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(PLAN, base={**PLAN.base, "epochs": 4}), "epochs is 3 there and 4 here"),
        (replace(PLAN, base={**PLAN.base, "lr": 0.1}), r"lr is '\(not set\)' there and 0.1 here"),
        (replace(PLAN, base={"epochs": 3}), "model_args is"),
        (replace(PLAN, seeds=(1,)), "it has seeds 0, which are not asked for"),
        (replace(PLAN, arms={"none": {}}), "it has an arm 'early'"),
        (
            replace(PLAN, arms={"none": {}, "early": {"dropout": "early(0.2, until=50%)"}}),
            r"its arm 'early' is dropout=early\(0.1.*, not dropout=early\(0.2",
        ),
        (replace(PLAN, name="other"), "it is called 'plan', not 'other'"),
    ],
)
def test_another_plan_is_refused_with_what_differs(
    tmp_path: Path, other: Grid, message: str
) -> None:
    settle(tmp_path, PLAN)
    with pytest.raises(ConfigError, match=message):
        settle(tmp_path, other)
    assert read_study(tmp_path).manifest == PLAN.manifest()


def test_another_baseline_is_refused(tmp_path: Path) -> None:
    both = replace(PLAN, arms={**PLAN.arms, "plain": {}})
    settle(tmp_path, both)
    with pytest.raises(ConfigError, match="baseline is 'none', not 'plain'"):
        settle(tmp_path, replace(both, baseline="plain"))


def test_a_run_of_other_making_is_not_taken_over(tmp_path: Path) -> None:
    settle(tmp_path, PLAN)
    job = PLAN.jobs(tmp_path)[0]
    RunWriter.create(job.path, {**job.config, "epochs": 9}).close()
    with pytest.raises(RecordError, match="epochs"):
        settle(tmp_path, PLAN)


def test_a_folder_that_cannot_be_one_is_an_error_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "below"):
        with pytest.raises(RecordError, match=f"cannot create {folder}"), locked(folder):
            pass
        with pytest.raises(RecordError, match=f"cannot create {folder}"):
            settle(folder, PLAN)


def test_two_calls_do_not_train_one_study_at_once(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RecordError, match="another process"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
