"""``droptime dynamics``: the pair that it trains, and the weights of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from droptime.cli import main
from droptime.cli.dynamics import pair
from droptime.errors import ConfigError
from droptime.records import read_study
from droptime.training import TrainConfig, train

ARGUMENTS = {"img_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 1, "num_heads": 2}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["droptime", "dynamics", *arguments])
    monkeypatch.setenv("COLUMNS", "100")
    try:
        main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_the_pair_differs_in_dropout_alone() -> None:
    grid = pair("digits", shared={}, options={"seeds": 2, "probe_every": 50}).grid()
    assert grid.name == "dynamics-digits"
    assert grid.arms == {"none": {}, "standard-dropout": {"dropout": "standard(0.1)"}}
    assert grid.base["probe_every"] == 50
    assert (
        pair("cifar100", shared={"data": "torch/cifar10"}, options={}).grid().base["epochs"] == 10
    )


def test_a_name_that_is_nothing() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cifar10"):
        pair("cifar-10", shared={}, options={})


def test_training_the_pair_ends_in_what_the_paper_observed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--train-limit", "64", "--test-limit", "30", "--epochs", "2", "--batch-size", "16"]
    probes = ["--probe-every", "4", "--probe-batches", "2", "--seeds", "2", "--dropout", "0.5"]
    assert run(monkeypatch, "digits", *few, *probes, "--out", str(tmp_path / "d")) == 0
    assert "What dropout does to gradients" in capsys.readouterr().out
    study = read_study(tmp_path / "d")
    assert [row.step for row in study.finished[0].dynamics] == [0, 1, 2, 4, 8]
    assert (tmp_path / "d" / "figures" / "direction-within-run.svg").exists()


def test_the_weights_of_a_run_are_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = TrainConfig(
        data="digits", train_limit=64, test_limit=30, model_args=ARGUMENTS, epochs=1,
        batch_size=16, dropout="standard(0.2)", device="cpu",
    )  # fmt: skip
    train(config, tmp_path / "run")
    few = ["--probe-batches", "3"]
    assert run(monkeypatch, str(tmp_path / "run"), *few) == 0
    assert "3 gradients of 16 images; directions are (1 - cos) / 2" in capsys.readouterr().out
    assert run(monkeypatch, str(tmp_path / "run"), *few, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["step"] == 4
    assert row["values"]["variance"]["value"] > 0
    assert run(monkeypatch, str(tmp_path / "run"), "--epochs", "3") == 2
    assert "measured as it was trained" in capsys.readouterr().err
