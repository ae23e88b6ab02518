"""Two processes train one model: what each does, and what they write together."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from droptime.errors import ConfigError
from droptime.records import read_run
from droptime.training import TrainConfig, digits, train
from droptime.training.data.stream import Batch, TrainStream
from droptime.training.measuring.measure import measure
from droptime.training.measuring.probing import make_probe
from droptime.training.processes.devices import make_accelerator
from droptime.training.processes.ranks import Ranks
from droptime.training.saving.weights import find_weights
from droptime.training.step.engine import Engine
from tests.ranks import RANKS, on_two_ranks
from tests.unit.training.conftest import TINY, Tiny
from tests.unit.training.test_run import trainer

BUSY: dict[str, Any] = {
    "dropout": "standard(0.2)",
    "drop_path": "early(0.5, until=2ep)",
    "skip": "yes",
    "ema_decay": 0.9,
    "clip_grad": 1.0,
    "crop_padding": 1,
    "mixup": 0.5,
    "test_limit": 31,
}
CALM = replace(TINY, ema_decay=0.9, clip_grad=1.0, test_limit=31)
UNMEASURED = replace(TINY, train_limit=70)
MEASURED = replace(UNMEASURED, probe_every=5, probe_batches=4)
NORMED = replace(TINY, model="resnet10t", model_args={"in_chans": 1}, image_size=32, epochs=2)
STOPPED_AFTER = 6


class Stopped(Exception):  # noqa: N818 - what happens, not what is wrong
    """Stands for a crash."""


def _as_launched(rank: int) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": RANKS, "MASTER_PORT": 1}
    place["OMP_NUM_THREADS"] = 1  # else Accelerate chooses
    os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="localhost")


def work(rank: int, folder: str) -> dict[str, Any]:
    _as_launched(rank)
    root = Path(folder)
    heard: list[object] = []
    train(CALM, root / "copies", listen=heard.append)
    train(replace(CALM, shard=True), root / "parts")
    train(replace(TINY, **BUSY), root / "whole")
    train(replace(TINY, **BUSY, shard=True), root / "whole-parts")
    for name, config in {
        "stopped": replace(TINY, **BUSY),
        "stopped-parts": replace(TINY, **BUSY, shard=True),
    }.items():
        _crash(config, root / name)
        train(config, root / name)
    train(MEASURED, root / "measured")
    train(replace(MEASURED, shard=True), root / "measured-parts")
    train(UNMEASURED, root / "unmeasured")
    train(replace(UNMEASURED, shard=True), root / "unmeasured-parts")
    for kind, shard in {"copies": False, "parts": True}.items():
        config = replace(NORMED, ema_decay=0.5, shard=shard)
        train(config, root / f"normed-{kind}")
        _crash(config, root / f"normed-stopped-{kind}")
        train(config, root / f"normed-stopped-{kind}")
    _stop_one(replace(TINY, **BUSY), root / "asked", rank)
    kept = sorted(path.name for path in (root / "asked/checkpoints").iterdir())
    train(replace(TINY, **BUSY), root / "asked")
    return {"heard": len(heard), "kept": kept, "mask": torch.rand(3)}


def _crash(config: TrainConfig, out: Path) -> None:
    def crash() -> None:
        raise Stopped

    with suppress(Stopped), _before_step(STOPPED_AFTER + 1, crash):
        train(config, out)


def _stop_one(config: TrainConfig, out: Path, rank: int) -> None:
    """Ask the second process only: both must stop at the same step."""

    def ask() -> None:
        if rank == 1:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(KeyboardInterrupt), _before_step(STOPPED_AFTER, ask):
        train(config, out)
    signal.signal(signal.SIGINT, before)


@contextmanager
def _before_step(count: int, act: Callable[[], None]) -> Iterator[None]:
    """Act before the ``count``-th step that is made from now on."""
    calls = itertools.count(1)
    original = Engine.update

    def update(self: Engine, batches: Iterator[Batch], *, lr: float) -> torch.Tensor:
        if next(calls) == count:
            act()
        return original(self, batches, lr=lr)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "update", update)
        yield


@cache
def ran() -> tuple[Path, list[dict[str, Any]]]:
    folder = mkdtemp()
    return Path(folder), on_two_ranks(work, folder)


def weights(name: str, file: str = "model") -> dict[str, torch.Tensor]:
    return load_file(ran()[0] / name / f"{file}.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("file", ["model", "ema"])
def test_two_processes_make_the_steps_of_two_accumulated_passes(file: str, tmp_path: Path) -> None:
    train(replace(CALM, accumulate=2), tmp_path)
    alone = load_file(tmp_path / f"{file}.safetensors")
    together, sharded = weights("copies", file), weights("parts", file)
    assert alone.keys() == together.keys() == sharded.keys()
    for name, value in alone.items():
        assert torch.equal(together[name], value), name
        assert torch.allclose(sharded[name], value, atol=1e-4), name


@pytest.mark.slow
def test_measured_on_every_image_once(tmp_path: Path) -> None:
    train(replace(CALM, accumulate=2), tmp_path)
    alone, together = read_run(tmp_path), read_run(ran()[0] / "copies")
    for one, two in zip(alone.evals, together.evals, strict=True):
        assert (one.train_accuracy, one.test_accuracy) == (two.train_accuracy, two.test_accuracy)
        assert two.test_loss == pytest.approx(one.test_loss, rel=1e-6)
    assert [row.loss for row in alone.steps] == pytest.approx([r.loss for r in together.steps])
    assert together.summary is not None
    assert together.summary.environment["processes"] == "2"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["", "-parts"])
def test_killed_processes_go_on_as_if_they_had_not_been(kind: str) -> None:
    for file in ("model.safetensors", "ema.safetensors", "rows.jsonl"):
        ways = ["whole", "stopped"] + ([] if kind else ["asked"])
        contents = {(ran()[0] / f"{way}{kind}" / file).read_bytes() for way in ways}
        assert len(contents) == 1, file


@pytest.mark.slow
def test_one_writes_and_speaks_and_all_stop_together() -> None:
    _, (first, second) = ran()
    assert first["heard"] > 0
    assert second["heard"] == 0
    newest = f"step-{STOPPED_AFTER:08d}.json"
    assert newest in first["kept"]
    assert first["kept"] == second["kept"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["", "-parts"])
def test_gradients_are_measured_together_and_leave_no_trace(kind: str, tmp_path: Path) -> None:
    train(MEASURED, tmp_path)
    alone, together = (read_run(run).dynamics for run in (tmp_path, ran()[0] / f"measured{kind}"))
    assert len(alone) == len(together) == 7
    for one, two in zip(alone, together, strict=True):
        assert (two.step, two.batches, two.batch_size, two.reference) == (one.step, 4, 16, 70)
        for name in ("variance", "error", "gradient_norm", "alignment"):
            assert two.values[name].value == pytest.approx(one.values[name].value, rel=1e-4), name
    first, second = (
        (ran()[0] / f"{way}{kind}" / "model.safetensors").read_bytes()
        for way in ("measured", "unmeasured")
    )
    assert first == second


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shard": True, "batch_size": 15}, "Mini-batches of 15 images do not divide over 2"),
        ({"probe_batches": 3}, "probe_batches=3 does not divide over 2 processes"),
        ({"probe_reference": 3}, "probe_reference=3 does not divide over 2 processes"),
    ],
)
def test_gradients_that_cannot_be_measured_together(
    changes: dict[str, Any], message: str, tiny: Tiny, tmp_path: Path
) -> None:
    run = trainer(tiny(), tmp_path)
    with pytest.raises(ConfigError, match=message):
        make_probe(
            run.engine.bare,
            run.data.train,
            config=tiny(probe_every=5, **{"probe_batches": 4, **changes}),
            augment=run.stream.augment,
            ranks=Ranks(0, 2),
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["copies", "parts"])
def test_running_statistics_are_the_same_everywhere(kind: str) -> None:
    run = read_run(ran()[0] / f"normed-{kind}")
    saved = {row.weights: row for row in run.evals[-2:]}
    for result in measure(find_weights(run.path), splits=("train", "test")):
        row = saved[result.weights]
        loss = row.train_loss if result.split == "train" else row.test_loss
        assert result.loss == pytest.approx(loss, rel=1e-5), (result.weights, result.split)
    for file in ("model.safetensors", "ema.safetensors", "rows.jsonl"):
        whole, stopped = (ran()[0] / f"normed{s}-{kind}" / file for s in ("", "-stopped"))
        assert whole.read_bytes() == stopped.read_bytes(), file


def test_masks_differ_between_processes() -> None:
    seeds = {Ranks(rank, 2).seed(0, "masks") for rank in range(2)} | {Ranks().seed(0, "masks")}
    assert len(seeds) == 2


def test_shares_of_a_batch_that_does_not_divide(tiny: Tiny, tmp_path: Path) -> None:
    data = trainer(tiny(), tmp_path).data
    with pytest.raises(ConfigError, match=r"batch_size=16 with accumulate=1 does not divide"):
        TrainStream(data, tiny(), Ranks(0, 3))
    with pytest.raises(ConfigError, match="makes 1 images per backward pass, which is odd"):
        TrainStream(data, tiny(mixup=0.5), Ranks(0, 16))


def test_nothing_to_shard_over(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shard=True divides a model over processes"):
        train(tiny(shard=True), tmp_path)


@pytest.mark.parametrize(
    "variables",
    [
        {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1"},  # launch --cpu
        {"WORLD_SIZE": "2"},
    ],
)
def test_one_process_where_several_were_asked(
    variables: dict[str, str], tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_accelerator(tiny())  # Accelerate keeps that there is one
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="asked for several processes, and this is a single one"):
        train(tiny(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_accelerate_launch_starts_two_on_a_cpu(tmp_path: Path) -> None:
    start = digits()
    small = {"embed_dim": 16, "depth": 2, "num_heads": 2}
    config = replace(start, epochs=1, train_limit=320, test_limit=30, device="cpu")
    config = replace(config, model_args={**start.model_args, **small})
    train(replace(config, accumulate=2), tmp_path / "alone")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    own = ["-m", "droptime", "train", "digits", "--device", "cpu"]
    settings = ["--epochs", "1", "--train-limit", "320", "--test-limit", "30"]
    settings += ["--model-args", *(f"{name}={value}" for name, value in small.items())]
    out = tmp_path / "launched"
    command = [*launch, "--num_processes", "2", *own, *settings, "--out", str(out)]
    subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)
    one, two = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("alone", "launched"))
    assert one == two


@pytest.mark.slow
def test_torchrun_as_it_is(tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    own = ["-m", "droptime"]
    out = str(tmp_path / "run")
    command = [*own, "train", "digits", "--epochs", "1", "--train-limit", "600", "--out", out]
    done = subprocess.run([*launch, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Finished in") == 1
    assert "2 processes" in " ".join(done.stdout.split())
    done = subprocess.run([*launch, *own, "eval", out], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("359") == 1
