"""``droptime eval``: a table and JSON of the weights of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from droptime.cli import main
from droptime.records import read_run
from droptime.training import TrainConfig, train

ARGUMENTS = {"img_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 1, "num_heads": 2}


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    config = TrainConfig(
        data="digits", train_limit=64, test_limit=33, model_args=ARGUMENTS, epochs=1,
        batch_size=16, ema_decay=0.5, device="cpu",
    )  # fmt: skip
    train(config, tmp_path / "run")
    return tmp_path / "run"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["droptime", "eval", *arguments])
    monkeypatch.setenv("COLUMNS", "100")
    try:
        main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_json_and_table_say_the_same(
    monkeypatch: pytest.MonkeyPatch, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, str(finished), "--split", "both", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["data"], told["step"]) == ("digits", None)
    assert [(r["weights"], r["split"], r["images"]) for r in told["results"]] == [
        ("raw", "train", 64),
        ("raw", "test", 33),
        ("ema", "train", 64),
        ("ema", "test", 33),
    ]
    final = read_run(finished).summary.final  # type: ignore[union-attr]
    assert told["results"][1]["accuracy"] == final.test_accuracy
    assert run(monkeypatch, str(finished), "--cpu", "--batch-size", "5") == 0
    printed = capsys.readouterr().out
    assert f"{final.test_accuracy:.2%}" in printed
    assert f"{told['results'][3]['loss']:.4f}" in printed
    assert "train" not in printed.split("digits")[-1]


def test_wrong_paths_and_sizes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, str(tmp_path)) == 2
    assert "is no run directory" in capsys.readouterr().err
    assert run(monkeypatch, str(tmp_path), "--batch-size", "0") == 2
    assert "expected at least 1" in capsys.readouterr().err
