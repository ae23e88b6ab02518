"""``droptime dynamics --checkpoint FILE``: weights without a run, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
from safetensors.torch import save_file
from torch import nn

from droptime.training import TrainConfig
from droptime.training.trainer import Trainer
from tests.unit.cli.test_dynamics_command import ARGUMENTS, run

MODEL = "vit_tiny_patch16_224"
ON = ["--model", MODEL, "--data", "digits", "--batch-size", "16", "--train-limit", "64"]
ON += ["--model-args", *(f"{name}={value}" for name, value in ARGUMENTS.items())]
ON += ["--probe-batches", "3"]
DEEPER = ["depth=2" if option == "depth=1" else option for option in ON]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    model: nn.Module = timm.create_model(MODEL, num_classes=10, in_chans=1, **ARGUMENTS)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path) -> Any:
    def measure(*options: str) -> Any:
        assert run(monkeypatch, *ON, "--checkpoint", str(file), *options, "--json") == 0
        return json.loads(capsys.readouterr().out)

    return measure


def test_given_weights_are_measured_with_dropout_and_without(told: Any, file: Path) -> None:
    """With a rate the values without it are those of no rate; both are the weights' own."""
    plain, dropped = told(), told("--dropout", "0.4")
    assert plain["checkpoint"] == str(file)
    (row,), (paired,) = plain["rows"], dropped["rows"]
    assert row["values"]["error_effect"]["value"] == 0
    assert paired["values"]["error_effect"]["value"] != 0
    assert paired["values"]["error_without"] == row["values"]["error"]
    assert "distance" not in row["values"]
    config = TrainConfig(
        data="digits", train_limit=64, model_args=ARGUMENTS, batch_size=16, probe_every=1,
        probe_batches=3,
    )  # fmt: skip
    fresh = Trainer(config, file.parent, listen=lambda _: None)
    own = fresh.gradients_at(fresh.engine.bare.state_dict(), 0)
    assert own.values["variance"].value != row["values"]["variance"]["value"]
    assert list(file.parent.iterdir()) == [file]


def test_groups_are_told(told: Any) -> None:
    (row,) = told("--probe-groups", "blocks.*")["rows"]
    assert list(row["groups"]) == ["other", "blocks.*"]
    assert "distance" not in row["groups"]["other"]


def test_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    assert run(monkeypatch, *ON, "--checkpoint", str(file), "--dropout", "0.4") == 0
    out = capsys.readouterr().out
    assert "3 gradients of 16 images" in out
    assert "GDE effect" in out
    assert "distance" not in out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["digits", *ON], "'digits' and --checkpoint: give the folder of a run"),
        ([*ON, "--epochs", "3", "--seeds", "2"], "--epochs, --seeds: with --checkpoint weights"),
        (["--data", "digits"], "No --model given"),
        (["--model", MODEL], "No --data given"),
        ([*ON, "--dropout", "1.5"], "dropout='standard(1.5)'"),
        (DEEPER, "do not fit vit_tiny_patch16_224: they lack blocks.1"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: Path,
    options: list[str],
    says: str,
) -> None:
    assert run(monkeypatch, *options, "--checkpoint", str(file)) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_a_file_that_is_no_weights(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    file.write_bytes(b"torn")
    assert run(monkeypatch, *ON, "--checkpoint", str(file)) == 2
    assert "cannot be read as safetensors" in capsys.readouterr().err
