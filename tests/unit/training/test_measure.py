from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from droptime.errors import CheckpointError, ConfigError
from droptime.records import read_run
from droptime.training import Event, TrainConfig, train
from droptime.training.measuring.measure import measure
from droptime.training.saving.weights import find_weights
from droptime.training.seeds import Streams

Tiny = Callable[..., TrainConfig]


def test_a_finished_run_measures_as_its_records_say(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(ema_decay=0.5, dropout="standard(0.3)", test_limit=29), tmp_path)
    rows = {row.weights: row for row in read_run(tmp_path).evals[-2:]}
    before = Streams.capture().tensors["cpu"]
    results = list(measure(find_weights(tmp_path), splits=("train", "test"), batch_size=7))
    assert (Streams.capture().tensors["cpu"] == before).all()
    assert [(r.weights, r.split) for r in results] == [
        ("raw", "train"),
        ("raw", "test"),
        ("ema", "train"),
        ("ema", "test"),
    ]
    for result in results:
        row = rows[result.weights]
        assert result.images == {"train": 80, "test": 29}[result.split]
        accuracy = getattr(row, f"{result.split}_accuracy")
        assert result.accuracy == accuracy
        assert result.correct == round(accuracy * result.images)
        assert result.loss == pytest.approx(getattr(row, f"{result.split}_loss"), rel=1e-5)


def test_one_file_of_a_run(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(ema_decay=0.5, epochs=1), tmp_path)
    found = find_weights(tmp_path / "ema.safetensors")
    assert list(found.weights) == ["ema"]
    [result] = measure(found)
    assert result.loss == pytest.approx(read_run(tmp_path).evals[-1].test_loss, rel=1e-5)


def test_a_run_that_is_not_done_has_its_newest_checkpoint(tiny: Tiny, tmp_path: Path) -> None:
    out, kept = tmp_path / "run", tmp_path / "kept"

    def copy(event: Event) -> None:
        if getattr(event, "step", None) == 12:
            shutil.copytree(out, kept)

    train(tiny(ema_decay=0.5), out, listen=copy)
    found = find_weights(kept)
    assert (found.step, found.path.name) == (12, "step-00000012.safetensors")
    assert list(found.weights) == ["raw", "ema"]
    older = find_weights(kept / "checkpoints" / "step-00000008.json")
    assert older.step == 8
    ends = [[r.loss for r in measure(one)] for one in (find_weights(out), found, older)]
    assert len({tuple(losses) for losses in ends}) == 3


def test_what_is_no_run_or_has_no_weights(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no run directory"):
        find_weights(tmp_path / "nothing")
    out = tmp_path / "run"
    train(tiny(epochs=1), out)
    with pytest.raises(ConfigError, match="is no run directory"):
        find_weights(out / "other.safetensors")
    (out / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        find_weights(out)
    (out / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        find_weights(out)


def test_weights_of_another_model(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(epochs=1), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["norm.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"does not fit.*norm.weight"):
        list(measure(find_weights(tmp_path)))
