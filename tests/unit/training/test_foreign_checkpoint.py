"""Checkpoints that are whole and yet not this run's: refused, or gone on from rightly."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as dump
from torch import Tensor

from droptime.errors import CheckpointError, DroptimeError, RecordError
from droptime.records import read_run
from droptime.training import TrainConfig, train
from droptime.training.saving import checkpoint

Tiny = Callable[..., TrainConfig]
Kill = Callable[..., Path]

SETTINGS: dict[str, Any] = {"dropout": "early(0.3, until=60%)", "ema_decay": 0.9, "log_every": 1}
WEIGHT = "blocks.0.mlp.fc1.weight"


def rewrite(run: Path, values: dict[str, Any], tensors: dict[str, Tensor | None]) -> None:
    """Change what the newest checkpoint holds, its checksums right: the work of a stranger."""
    folder = run / "checkpoints"
    saved = checkpoint.load(folder, 8)
    kept = {n: v for n, v in {**saved.tensors, **tensors}.items() if v is not None}
    content = dump({name: value.contiguous() for name, value in kept.items()})
    body = {
        "v": 1,
        "step": 8,
        "tensors": hashlib.sha256(content).hexdigest(),
        "values": {**saved.values, **values},
    }
    (folder / "step-00000008.safetensors").write_bytes(content)
    manifest = {"checksum": checkpoint._digest(body), "body": body}
    (folder / "step-00000008.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("other", [{"seed": 5}, {"lr": 1e-3}, {"dropout": None}])
def test_checkpoints_of_another_run_are_refused(
    other: dict[str, Any], tiny: Tiny, killed: Kill
) -> None:
    run, stranger = killed("run", **SETTINGS), killed("stranger", **{**SETTINGS, **other})
    shutil.rmtree(run / "checkpoints")
    shutil.copytree(stranger / "checkpoints", run / "checkpoints")
    before = (run / "rows.jsonl").read_bytes()
    with pytest.raises(CheckpointError, match=rf"(?s)another run.*{next(iter(other))}: .*choose"):
        train(tiny(**SETTINGS), run)
    assert (run / "rows.jsonl").read_bytes() == before


def test_checkpoints_without_the_runs_config_are_refused(tiny: Tiny, killed: Kill) -> None:
    run = killed("run", **SETTINGS)
    (run / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        train(tiny(**{**SETTINGS, "lr": 1e-3}), run)


def test_a_checkpoint_under_another_name_is_passed_over(tiny: Tiny, killed: Kill) -> None:
    run = killed("run", **SETTINGS)
    for suffix in (".json", ".safetensors"):
        paths = [run / "checkpoints" / f"step-0000000{step}{suffix}" for step in (4, 8)]
        paths[0].rename(paths[1])
    with pytest.warns(UserWarning, match=r"no checkpoint after 8 steps. Going on from the begin"):
        train(tiny(**SETTINGS), run)
    assert [row.step for row in read_run(run).steps] == list(range(15))


@pytest.mark.parametrize(
    "tensors",
    [
        {f"model.{WEIGHT}": torch.zeros(1)},
        {f"model.{WEIGHT}": torch.zeros(64, 16, dtype=torch.bfloat16)},
        {f"model.{WEIGHT}": None},
        {"model.extra": torch.zeros(1)},
        {f"ema.{WEIGHT}": torch.zeros(1)},
        {f"ema.{WEIGHT}": None},
        {"optimizer.0.exp_avg": torch.zeros(1)},  # read past its end, it ended the process
        {"optimizer.3.exp_avg_sq": None},
        {"optimizer.99.exp_avg": torch.zeros(1)},
        {"random.0.cpu": torch.zeros(1)},
    ],
    ids=lambda tensors: next(iter(tensors)),
)
def test_tensors_that_do_not_fit(
    tensors: dict[str, Tensor | None], tiny: Tiny, killed: Kill
) -> None:
    run = killed("run", **SETTINGS)
    rewrite(run, {}, tensors)
    with pytest.raises(CheckpointError, match="cannot go on from the checkpoint after 8 steps"):
        train(tiny(**SETTINGS), run)


@pytest.mark.parametrize(
    "name", ["config", "processes", "train_images", "engine", "random", "losses", "seconds"]
)
@pytest.mark.parametrize("value", [None, "x", [[]], {"a": 1}], ids=repr)
def test_values_of_other_kinds(name: str, value: object, tiny: Tiny, killed: Kill) -> None:
    run = killed("run", **SETTINGS)
    rewrite(run, {name: value}, {})
    with pytest.raises(DroptimeError):
        train(tiny(**SETTINGS), run)


@pytest.mark.parametrize("harm", ["gone", "short", "a hole", "another number"])
def test_a_record_that_is_not_what_the_checkpoint_knew(harm: str, tiny: Tiny, killed: Kill) -> None:
    run = killed("run", **SETTINGS)
    rows = run / "rows.jsonl"
    lines = rows.read_bytes().splitlines(keepends=True)
    if harm == "gone":
        rows.unlink()
    else:
        loss = str(read_run(run).steps[2].loss).encode()
        harmed = {
            "short": lines[:3],
            "a hole": lines[:3] + lines[4:],
            "another number": [line.replace(loss, b"1.5") for line in lines],
        }
        rows.write_bytes(b"".join(harmed[harm]))
    with pytest.raises(RecordError, match=r"rows up to step 7 were changed or are missing"):
        train(tiny(**SETTINGS), run)


def test_a_record_that_is_deleted_while_the_run_writes_it(tiny: Tiny, tmp_path: Path) -> None:
    def delete(event: object) -> None:
        (tmp_path / "rows.jsonl").unlink(missing_ok=True)

    with pytest.raises(RecordError, match="was deleted while the run was writing it"):
        train(tiny(), tmp_path, listen=delete)
