"""A study directory: its plan, the runs so far, and runs that do not belong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from droptime.errors import RecordError
from droptime.records import (
    EvalRow,
    RunWriter,
    StudyManifest,
    Summary,
    read_study,
    run_path,
    write_manifest,
)

ARMS: dict[str, dict[str, str]] = {"none": {}, "standard": {"dropout": "standard(0.1)"}}
PLAN = StudyManifest(
    "digits", ARMS, (0, 1), base={"lr": 1e-3, "seed": 99}, command="droptime study x"
)
FINAL = EvalRow(0, 1.0, 1.0, 0.5, 1.0, 0.5)


def _run(study: Path, arm: str, seed: int, changes: dict[str, Any] | None = None) -> None:
    config: dict[str, Any] = (
        {"arm": arm, "seed": seed, "lr": 1e-3, "dropout": None} | ARMS[arm] | (changes or {})
    )
    with RunWriter.create(run_path(study, arm, seed), config) as run:
        run.finish(Summary(1, 0.1, FINAL, {}))


def test_a_manifest_reads_back_equal(tmp_path: Path) -> None:
    write_manifest(tmp_path / "new", PLAN)
    assert read_study(tmp_path / "new").manifest == PLAN


def test_a_study_lists_what_is_there_and_what_is_missing(tmp_path: Path) -> None:
    write_manifest(tmp_path, PLAN)
    _run(tmp_path, "standard", 1)
    _run(tmp_path, "none", 1)
    RunWriter.create(run_path(tmp_path, "none", 0), {"arm": "none", "seed": 0, "lr": 1e-3}).close()
    study = read_study(tmp_path)
    assert [(run.arm, run.seed) for run in study.runs] == [
        ("none", 0),
        ("none", 1),
        ("standard", 1),
    ]
    assert [(run.arm, run.seed) for run in study.finished] == [("none", 1), ("standard", 1)]
    assert study.missing == (("none", 0), ("standard", 0))
    assert [run.seed for run in study.of_arm("none")] == [1]


def test_a_folder_not_in_the_plan_is_left_alone(tmp_path: Path) -> None:
    write_manifest(tmp_path, PLAN)
    (tmp_path / "runs" / "other-s0").mkdir(parents=True)
    assert read_study(tmp_path).runs == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lr": 0.5}, "lr: 0.5 there, 0.001 planned"),
        ({"seed": 7}, "seed: 7 there, 0 planned"),
        ({"arm": "none"}, "arm: 'none' there, 'standard' planned"),
        ({"dropout": "standard(0.2)"}, "dropout"),
    ],
)
def test_a_run_of_other_conditions_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    write_manifest(tmp_path, PLAN)
    _run(tmp_path, "standard", 0, changes)
    with pytest.raises(RecordError, match="was not made for this study") as caught:
        read_study(tmp_path)
    assert words in str(caught.value)


def test_more_seeds_can_be_planned_later(tmp_path: Path) -> None:
    write_manifest(tmp_path, PLAN)
    _run(tmp_path, "none", 0)
    write_manifest(tmp_path, StudyManifest("digits", ARMS, (0, 1, 2), base=PLAN.base))
    assert len(read_study(tmp_path).runs) == 1
    assert len(read_study(tmp_path).missing) == 5


@pytest.mark.parametrize(
    "broken",
    [
        {"arms": {}},
        {"seeds": ()},
        {"seeds": (1, 1)},
        {"arms": {"a/b": {}}},
        {"arms": {"..": {}}},
        {"arms": {"": {}}},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match="study 'x'"):
        StudyManifest(**({"name": "x", "arms": ARMS, "seeds": (0,)} | broken))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"v": 2}, "upgrade"),
        ({"seeds": ["0"]}, "'seeds'"),
        ({"arms": {"none": 3}}, "arm 'none'"),
        ({"mystery": 1}, "'mystery'"),
    ],
)
def test_a_malformed_manifest_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    write_manifest(tmp_path, PLAN)
    file = tmp_path / "study.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(RecordError, match=words) as caught:
        read_study(tmp_path)
    assert "study.json" in str(caught.value)


def test_what_is_not_a_study_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="not a study directory"):
        read_study(tmp_path)


def test_records_open_without_torch_or_numpy(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, droptime.records; "
        "heavy = {'torch', 'numpy', 'scipy'} & sys.modules.keys(); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
