"""A little chaos in every check: a run killed, one killed while saving, a judge saying no."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random

import pytest

from tests.chaos import page
from tests.chaos.faults import MOMENTS, Fault
from tests.chaos.scenarios import SCENARIOS, killed
from tests.chaos.trial import Trial, Whole, judge, undisturbed

_DATA = "digits --train-limit 80 --test-limit 30 --batch-size 16 --epochs 4 --device cpu"
_MODEL = "--model-args patch_size=4 embed_dim=16 depth=1 num_heads=2 --dropout standard(0.2)"
_SAVES = "--ema-decay 0.9 --log-every 1 --checkpoint-every 3"
SMALL = " ".join((_DATA, _MODEL, _SAVES)).split()


@pytest.mark.slow
def test_a_run_survives_a_sample_of_it_all(tmp_path: Path) -> None:
    whole = undisturbed(tmp_path / "whole", SMALL)
    outcome = killed(Trial(tmp_path / "killed", SMALL, Random(0), whole))
    assert outcome.good, outcome
    trial = Trial(tmp_path / "saving", SMALL, Random(0), whole)
    for moment in MOMENTS[::3]:
        assert trial.end(trial.start(Fault(moment, 2))) == "SIGKILL", moment
    assert trial.end(trial.start(Fault("full", 0))) == "2"
    assert "No space left on device" in trial.log.read_text()
    outcome = judge(trial)
    assert outcome.good, outcome
    assert outcome.ends == {"SIGKILL": 2, "2": 1, "0": 1}
    _the_judge_can_say_no(trial, whole)


def _the_judge_can_say_no(trial: Trial, whole: Whole) -> None:
    rows = trial.out / "rows.jsonl"
    lines = rows.read_text().splitlines(keepends=True)
    rows.write_text("".join(lines[:3] + lines[4:]))
    missing = judge(trial)
    assert (missing.good, missing.same_rows, missing.steps_whole) == (False, False, False)
    rows.write_text("".join(lines))
    shutil.copy(trial.out / "ema.safetensors", trial.out / "model.safetensors")
    other = judge(trial)
    assert (other.good, other.same_weights, other.steps_whole) == (False, False, True)


def test_the_page_says_what_the_results_say() -> None:
    results = json.loads(page.RESULTS.read_text())
    assert page.PATH.read_text() == page.render(results)
    assert [each["name"] for each in results["scenarios"]] == [each.name for each in SCENARIOS]
    assert [each["runs"] for each in results["scenarios"]] == [each.runs for each in SCENARIOS]
    assert sum("SIGKILL" in run["ends"] for run in results["runs"].values()) >= 30
    assert all(each["lost"] == 0 for each in results["scenarios"])
