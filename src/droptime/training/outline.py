"""What a run would be, without training it: data, steps, sites, parameters, memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from droptime.errors import ConfigError
from droptime.scheduler import DropScheduler
from droptime.sites import plan
from droptime.sites.plans import Plan
from droptime.training.data import shape
from droptime.training.data.sources import load_sources
from droptime.training.data.stream import whole_batches
from droptime.training.models.build import expected_size, make_model
from droptime.training.seeds import derive, seed_streams, undisturbed
from droptime.training.settings.config import TrainConfig
from droptime.training.step.engine import drop_scheduler
from droptime.training.step.optim import WarmupCosine, decay_groups
from droptime.types import Clock

_FLOAT = 4


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on the device of the training, by what they are for.

    Attributes:
        weights: the model, float32.
        gradients: as many.
        moments: AdamW's two.
        average: the averaged weights, where they are kept.
        images: the data set, where it is decoded once and kept.
        saved: what one backward pass needs of its forward.
    """

    weights: int
    gradients: int
    moments: int
    average: int
    images: int
    saved: int

    @property
    def total(self) -> int:
        """All of it together."""
        parts = (self.weights, self.gradients, self.moments, self.average, self.images, self.saved)
        return sum(parts)


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What a run would be.

    Attributes:
        clock: its length.
        train_images: images trained on.
        test_images: images tested on.
        classes: number of classes.
        channels: of an image.
        size: side of an image in pixels.
        parameters: of the model.
        undecayed: how many of them weight decay spares.
        lr: the learning rate of every step.
        sites: what each curve drives.
        memory: an estimate.
    """

    clock: Clock
    train_images: int
    test_images: int
    classes: int
    channels: int
    size: int
    parameters: int
    undecayed: int
    lr: WarmupCosine
    sites: Plan
    memory: Memory


def outline(config: TrainConfig) -> Outline:
    """Find the data, build the model and look at both; nothing is trained or written.

    Images are counted, not decoded. The memory of a backward pass is measured: two small batches
    go forward on the CPU, in float32 or under its autocast, with dropout on, and what autograd
    keeps of an image more is multiplied. Left out are temporary buffers, the allocator's reserve,
    and what a GPU keeps otherwise than a CPU.

    Raises:
        DataError: the data set is missing, empty or malformed.
        ConfigError: the settings cannot work.
        SiteError: the model has no place for a curve.
    """
    train, test = load_sources(config)
    channels, size = shape(config, expected_size(config))
    steps = whole_batches(len(train.labels), config.batch_size)
    clock = Clock(epochs=config.epochs, steps_per_epoch=steps)
    with undisturbed():
        seed_streams(derive(config.seed, "model"))
        model = make_model(config, classes=len(train.classes), channels=channels)
        spared, decayed = _counts(model)
        sites = _sites(model, config, clock)
        saved = saved_bytes(model, config, channels=channels, size=size)
    weights = _FLOAT * (spared + decayed)
    images = (len(train.labels) + len(test.labels)) * channels * size**2
    return Outline(
        clock=clock,
        train_images=len(train.labels),
        test_images=len(test.labels),
        classes=len(train.classes),
        channels=channels,
        size=size,
        parameters=spared + decayed,
        undecayed=spared,
        lr=WarmupCosine.of(config, clock),
        sites=sites,
        memory=Memory(
            weights=weights,
            gradients=weights,
            moments=2 * weights,
            average=weights if config.ema_decay else 0,
            images=images if images <= config.memory_gb * 2**30 else 0,
            saved=saved,
        ),
    )


def saved_bytes(model: nn.Module, config: TrainConfig, *, channels: int, size: int) -> int:
    """Return what autograd keeps of the forward of one micro-batch, in bytes.

    Raises:
        ConfigError: the model cannot take such images.
    """
    few, more = (
        _kept_by_autograd(model, torch.zeros(count, channels, size, size), config)
        for count in (2, 3)
    )
    return few + (config.micro_batch - 2) * (more - few)


def _kept_by_autograd(model: nn.Module, images: Tensor, config: TrainConfig) -> int:
    own = {value.untyped_storage().data_ptr() for value in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def note(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return value

    half = config.mixed_precision != "no"
    try:
        with (
            saved_tensors_hooks(note, lambda value: value),
            torch.autocast("cpu", dtype=torch.bfloat16, enabled=half),
        ):
            output = model.train()(images)  # held until all is counted: no address comes twice
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ConfigError(
            f"{config.model} cannot take images of {images.shape[-1]} pixels: {error}."
        ) from error
    del output
    return sum(kept.values())


def _sites(model: nn.Module, config: TrainConfig, clock: Clock) -> Plan:
    """Return the plan of the run's own scheduler, and leave its sites dropping."""
    drop = drop_scheduler(model, config, clock)
    if drop is None:
        return plan(model, dropout=False, drop_path=False)
    drop.close()
    active = dict.fromkeys(drop.curves, "standard(0.1)")
    DropScheduler(model, clock=clock, **active)  # type: ignore[arg-type]
    return drop.plan


def _counts(model: nn.Module) -> tuple[int, int]:
    groups = decay_groups(model, weight_decay=1.0)
    sizes = {g["weight_decay"]: sum(p.numel() for p in g["params"]) for g in groups}
    return sizes.get(0.0, 0), sizes.get(1.0, 0)
