from __future__ import annotations

from dataclasses import replace

import pytest

from droptime.errors import ConfigError
from droptime.study import StudyRecipe, digits, preset
from droptime.training import TrainConfig


def test_digits_compares_every_paper_arm_of_both_kinds_by_pairs() -> None:
    grid = digits().grid()
    assert list(grid.arms) == [
        "none",
        "standard-dropout",
        "early-dropout",
        "late-dropout",
        "standard-drop-path",
        "early-drop-path",
        "late-drop-path",
    ]
    assert grid.baseline == "none"
    assert len(grid.seeds) >= 5


def test_digits_is_what_training_takes() -> None:
    for job in digits().grid().jobs("runs/digits"):
        config = TrainConfig.from_dict(job.config)
        assert config.device == "cpu"
        assert config.arm in job.name


def test_a_recipe_is_changed_by_replacing() -> None:
    short = replace(digits(), drop="drop_path", drop_path=0.3, cutoff="2ep", seeds=2)
    arms = short.grid().manifest().arms
    assert list(arms) == ["none", "standard-drop-path", "early-drop-path", "late-drop-path"]
    assert arms["late-drop-path"] == {"drop_path": "late(0.3, since=2ep, shape=constant)"}
    assert short.grid().seeds == (0, 1)


def test_the_default_rate_and_cutoff_are_the_papers() -> None:
    arms = StudyRecipe(name="own").grid().arms
    assert arms["early-dropout"] == {"dropout": "early(0.1, until=17%)"}
    assert "17%" in arms["late-dropout"]["dropout"]


def test_a_ready_study_that_is_not_there_is_answered_with_the_near_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'digits'"):
        preset("digit")
    with pytest.raises(ConfigError, match="there is digits"):
        preset("imagenet")
