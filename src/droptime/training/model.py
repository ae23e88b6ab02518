"""The model of a run: by its timm name, with weights that only the seed decides."""

from __future__ import annotations

from difflib import get_close_matches

import timm
import torch
from timm.models import get_pretrained_cfg, is_model, list_models
from torch import nn

from droptime.errors import ConfigError
from droptime.training.config import TrainConfig
from droptime.training.data import ImageData
from droptime.training.seeds import derive, seed_streams, undisturbed


def expected_size(config: TrainConfig) -> int:
    """Return the side of the images the model takes: its ``img_size``, else timm's default.

    Raises:
        ConfigError: timm knows no such model, or the size is not one number.
    """
    if not is_model(config.model):
        near = get_close_matches(config.model, list_models(), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "see timm.list_models()."
        raise ConfigError(f"timm has no model {config.model!r}: {hint}")
    asked = config.model_args.get("img_size")
    default = get_pretrained_cfg(config.model)
    size = asked if asked is not None else default.input_size[-1] if default else 224
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    raise ConfigError(f"model_args img_size={size!r}: expected one number, the side in pixels.")


def build_model(config: TrainConfig, data: ImageData) -> nn.Module:
    """Build the model for the data, its initial weights drawn from the run's seed alone.

    The process's random streams are left as they were.

    Raises:
        ConfigError: timm or the model refuses the arguments or the size of the images.
    """
    given = {"num_classes": len(data.classes), "in_chans": data.channels, **config.model_args}
    if given["num_classes"] != len(data.classes):
        raise ConfigError(
            f"model_args num_classes={given['num_classes']!r}, but {config.data} has "
            f"{len(data.classes)} classes: leave it out."
        )
    with undisturbed():
        seed_streams(derive(config.seed, "model"))
        try:
            model: nn.Module = timm.create_model(config.model, **given)
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise ConfigError(f"{config.model} cannot be built with {given}: {error}.") from error
        _check_takes(model, data, config)
    return model


def _check_takes(model: nn.Module, data: ImageData, config: TrainConfig) -> None:
    sample = torch.zeros(1, data.channels, data.size, data.size)
    try:
        with torch.no_grad():
            model.eval()(sample)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ConfigError(
            f"{config.model} cannot take images of {data.size} x {data.size} pixels: {error}. "
            f"Set image_size to what it takes, or model_args such as img_size={data.size}."
        ) from error
    model.train()
