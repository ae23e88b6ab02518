"""A training step gives a GPU its work and waits for nothing; shown on a GPU without values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor

from droptime.training.data import ImageData, Split
from droptime.training.data.store import Resident
from droptime.training.data.stream import TrainStream
from droptime.training.measuring.evaluate import Evaluator
from droptime.training.models.build import make_model
from droptime.training.processes.devices import make_accelerator
from droptime.training.processes.ranks import Ranks
from droptime.training.settings.config import TrainConfig
from droptime.training.step.engine import Engine
from droptime.training.step.losses import LossWindow
from droptime.types import Clock
from tests.fake_gpu import GPU, FakeGPU, fake_gpu

VIT = TrainConfig(
    data="digits",
    model="vit_tiny_patch16_224",
    model_args={"img_size": 16, "patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 2},
    epochs=2,
    batch_size=8,
    accumulate=2,
    device="cpu",
    clip_grad=1.0,
    ema_decay=0.9,
    dropout="early(0.1, until=50%)",
    drop_path="late(0.1, since=50%)",
)
RESNET = replace(VIT, model="resnet18", model_args={}, channels_last=True, dropout=None)
AUGMENTED = replace(
    VIT,
    crop_padding=2,
    crop_scale=0.5,
    flip=0.5,
    rand_augment="rand-m9-mstd0.5-inc1",
    erase=0.5,
    erase_with="noise",
    mixup=0.8,
    cutmix=1.0,
)


def data() -> ImageData:
    images = torch.zeros(32, 3, 16, 16, dtype=torch.uint8, device=GPU)
    split = Split(Resident(images), torch.zeros(32, dtype=torch.long, device=GPU))
    channel = torch.ones(3, device=GPU)
    return ImageData(split, split, tuple("abc"), 3, 16, channel, channel)


def engine(config: TrainConfig) -> Engine:
    accelerator = make_accelerator(config)
    with GPU:
        model = make_model(config, classes=3, channels=3)
    return Engine(
        model, config=config, clock=Clock(epochs=2, steps_per_epoch=4), accelerator=accelerator
    )


def train(gpu: FakeGPU, config: TrainConfig) -> LossWindow:
    """Make every step of two epochs."""
    made, stream, losses = engine(config), TrainStream(data(), config), LossWindow()
    with gpu.strict():
        batches = stream.batches()
        for _ in range(2 * stream.steps_per_epoch):
            losses.add(made.update(batches, lr=0.1))
            made.advance_rates()
    return losses


@pytest.mark.parametrize("config", [VIT, RESNET, AUGMENTED], ids=["vit", "resnet", "augmented"])
def test_a_step_waits_for_nothing(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_gpu(monkeypatch) as gpu:
        losses = train(gpu, config)
        assert gpu.kernels > 8 * 1000  # the optimizer's too
        with pytest.raises(DataDependentOutputException):  # a row of the record is what reads
            losses.drain(last_step=7)


def test_a_step_that_may_be_skipped_reads_one_number(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_gpu(monkeypatch) as gpu, pytest.raises(DataDependentOutputException):
        train(gpu, replace(VIT, skip_nonfinite=1))


def test_an_evaluation_waits_once_for_each_split(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    class Reading(Ranks):
        def total(self, values: Tensor) -> Tensor:
            assert isinstance(values, FakeTensor)
            read.append(values)
            return torch.ones(2)

    with fake_gpu(monkeypatch) as gpu:
        made, stream = engine(VIT), TrainStream(data(), VIT)
        measure = Evaluator(data=data(), normalise=stream.augment.normalise, ranks=Reading())
        with gpu.strict():
            measure.row(made.model, step=0, epoch=1.0, weights="raw")
    assert len(read) == 2


@pytest.mark.parametrize(
    "wait",
    [
        lambda there: there.sum().item(),
        lambda there: bool(there.any()),
        lambda there: there.tolist(),
        lambda there: there.cpu(),
        lambda there: there.nonzero(),
        lambda there: there[there > 0],
        lambda there: torch.tensor([1.0, 2.0], device=GPU),
        lambda there: torch.ones(2).to(GPU),
        lambda there: torch.ones(2).to(GPU, non_blocking=True),
        lambda there: there.copy_(torch.ones(2)),
    ],
)
def test_the_fake_gpu_hears_every_kind_of_wait(
    wait: Callable[[Tensor], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_gpu(monkeypatch) as gpu:
        there = torch.ones(2, device=GPU)
        with gpu.strict(), pytest.raises((AssertionError, RuntimeError)):
            wait(there)


def test_the_fake_gpu_lets_pinned_memory_through(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_gpu(monkeypatch) as gpu, gpu.strict():
        assert torch.ones(2).pin_memory().to(GPU, non_blocking=True).device == GPU
