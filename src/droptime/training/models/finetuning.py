"""Settings for fine-tuning: a model that was trained before, on other data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from droptime.errors import ConfigError
from droptime.records import read_run
from droptime.training.settings.config import TrainConfig

SETS: Mapping[str, str] = {
    "cifar10": "torch/cifar10",
    "cifar100": "torch/cifar100",
    "flowers": "torch/flowers102",
    "pets": "torch/oxford_iiit_pet",
    "stl10": "torch/stl10",
    "food101": "torch/food101",
}
"""Short name -> data set, for the sets that fine-tuning is usually compared on."""


def finetune(
    start: str, *, data: str, model: str | None = None, random: bool = False
) -> TrainConfig:
    """Return settings that fine-tune ``start`` on ``data``: twenty epochs, nothing dropped.

    The model begins with the weights of ``start`` but for its classifier. Early and late dropout
    are for training from scratch: the paper fine-tunes without (Liu et al. 2023), so curves are
    none unless given. No source we could read has its own settings; these are ours: lr 5e-4, random
    resized crops of at least 35% and flips, on the device.

    Args:
        start: a run directory or a file in it, a safetensors file, or a timm model's name.
        data: as in TrainConfig, or a short name of :data:`SETS`.
        model: the model that a safetensors file outside a run is of.
        random: begin a timm model with random weights instead of its pretrained ones.

    Raises:
        ConfigError: ``start`` is nothing of this, or a file without a model.

    >>> finetune("resnet18", data="pets", random=True).data
    'torch/oxford_iiit_pet'
    """
    begun = _begun(start, data=SETS.get(data, data), model=model, random=random)
    return replace(
        begun,
        arm="finetune",
        epochs=20,
        batch_size=64,
        lr=5e-4,
        warmup="10%",
        clip_grad=1.0,
        crop_scale=0.35,
        flip=0.5,
        eval_every=5,
    )


def _begun(start: str, *, data: str, model: str | None, random: bool) -> TrainConfig:
    """Return a config with the model and the weights alone."""
    from droptime.training.saving.weights import run_of

    path = Path(start).expanduser()
    if path.exists() and (run := run_of(path)) is not None:
        before = TrainConfig.from_dict(read_run(run).config)
        if model not in (None, before.model):
            raise ConfigError(f"{path} is a run of {before.model}, not of {model}: leave it out.")
        return TrainConfig(
            data=data,
            data_dir="data",
            model=before.model,
            model_args=before.model_args,
            image_size=before.image_size,
            normalise=before.normalise,
            weights=str(path),
        )
    if path.is_file():
        if model is None:
            raise ConfigError(f"{path} lies in no run: give the model that its weights are of.")
        return TrainConfig(data=data, data_dir="data", model=model, weights=str(path))
    if path.suffix or len(path.parts) > 1 or path.exists():
        raise ConfigError(
            f"{start} is no run directory and no file: expected one of these, or the name of a "
            "timm model."
        )
    return TrainConfig(
        data=data,
        data_dir="data",
        model=start,
        weights=None if random else "timm",
        normalise="imagenet" if random else _trained_on(start),  # type: ignore[arg-type]
    )


def _trained_on(model: str) -> str:
    """Return how timm's pretrained weights of a model want their images."""
    from timm.models import get_pretrained_cfg

    from droptime.training.models.build import timm_name

    default = get_pretrained_cfg(timm_name(model))
    return "half" if default and tuple(default.mean) == (0.5, 0.5, 0.5) else "imagenet"
