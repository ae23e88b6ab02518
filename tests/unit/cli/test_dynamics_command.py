"""``droptime dynamics``: the pair that it trains, and the weights of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from droptime.cli import main
from droptime.cli.dynamics import pair
from droptime.errors import ConfigError
from droptime.records import DynamicsRow, RunWriter, read_run, read_study
from droptime.records.rows import encode_row
from droptime.training import Event, TrainConfig, train

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


def test_what_a_probed_run_recorded_is_measured_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Checkpoints first, while there are any; then the weights at the end."""
    config = TrainConfig(
        data="digits", train_limit=64, test_limit=30, model_args=ARGUMENTS, epochs=2,
        batch_size=16, dropout="early(0.4, until=1ep)", checkpoint_every=2, device="cpu",
        probe_every=2, probe_batches=3,
    )  # fmt: skip

    def stop(event: Event) -> None:
        if isinstance(event, DynamicsRow) and event.step == 6:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        train(config, tmp_path / "run", listen=stop)
    assert run(monkeypatch, str(tmp_path / "run"), "--json") == 0
    told = json.loads(capsys.readouterr().out)["rows"]
    train(config, tmp_path / "run")
    rows = {row.step: row for row in read_run(tmp_path / "run").dynamics}
    assert told == [_plain(rows[4]), _plain(rows[6])]
    assert run(monkeypatch, str(tmp_path / "run"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == [_plain(rows[8])]


def _plain(row: DynamicsRow) -> Any:
    told = json.loads(encode_row(row))
    return {name: told[name] for name in told.keys() - {"v", "kind"}}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--probe-every", "50"), "--probe-every: a run that is there"),
        (("--out", "elsewhere"), "--out: a run that is there"),
        (("--workers", "2", "--seeds", "2"), "--seeds, --workers: a run that is there"),
    ],
)
def test_what_does_not_act_on_a_run_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    says: str,
) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert run(monkeypatch, str(tmp_path), *options) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "No --data given"),
        (("digits", "--workers", "0"), "expected at least 1"),
        (("digits", "--json"), "give the folder of a run"),
        (("digits", "--seeds", "0"), "at least one seed"),
        (("nowhere",), "is no folder of a run and no ready settings"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    says: str,
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert says in capsys.readouterr().err


def test_a_run_without_weights_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RunWriter.create(tmp_path, TrainConfig(data="digits").to_dict()).close()
    assert run(monkeypatch, str(tmp_path)) == 2
    assert "has no weights to measure" in capsys.readouterr().err
