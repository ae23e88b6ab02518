"""``droptime finetune``: from a run to other data, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from droptime.cli import main
from droptime.cli.finetune import plan
from droptime.errors import ConfigError
from droptime.records import read_run
from droptime.training import TrainConfig, train

SIZES = {"img_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 1, "num_heads": 2}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["droptime", "finetune", *arguments])
    monkeypatch.setenv("COLUMNS", "100")
    try:
        main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_from_a_run_to_a_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = np.random.default_rng(0)
    for label in ("one", "two"):
        (tmp_path / "own" / label).mkdir(parents=True)
        for index in range(10):
            pixels = draw.integers(0, 256, (9, 9)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "own" / label / f"{index}.png")
    config = TrainConfig(
        data="digits", train_limit=32, test_limit=20, model_args=SIZES, epochs=1,
        batch_size=16, device="cpu",
    )  # fmt: skip
    train(config, tmp_path / "run")
    own, out = f"folder:{tmp_path / 'own'}", tmp_path / "tuned"
    arguments = [str(tmp_path / "run"), "--data", own, "--model-args", "in_chans=1"]
    arguments += ["--epochs", "1", "--batch-size", "8", "--device", "cpu", "--out", str(out)]
    assert run(monkeypatch, *arguments, "--print-config") == 0
    printed = TrainConfig.from_dict(json.loads(capsys.readouterr().out))
    assert printed.weights == str(tmp_path / "run")
    assert printed.model_args == {**SIZES, "in_chans": 1}
    assert run(monkeypatch, *arguments, "--dry-run") == 0
    assert "in 2 classes" in capsys.readouterr().out
    assert run(monkeypatch, *arguments) == 0
    assert "Finished in" in capsys.readouterr().out
    assert read_run(out).config == printed.to_dict()


def test_what_is_missing_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "resnet18") == 2
    assert "cifar100, flowers, pets" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="give START alone"):
        plan("resnet18", {"data": "pets", "weights": "x"})


def test_options_change_the_settings() -> None:
    config = plan("resnet18", {"data": "stl10", "lr": 1e-4}, random=True)
    assert (config.data, config.model, config.lr) == ("torch/stl10", "resnet18", 1e-4)
    assert config.weights is None
