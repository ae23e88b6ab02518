"""The model of a run: one of the paper's or timm's by name, with weights the seed decides."""

from __future__ import annotations

from difflib import get_close_matches

import timm
import torch
from timm.models import get_pretrained_cfg, is_model, list_models
from torch import nn

from droptime.errors import ConfigError
from droptime.training.data import ImageData
from droptime.training.models.paper import PAPER_MODELS, make_paper_model
from droptime.training.models.start import begin_with
from droptime.training.seeds import derive, seed_streams, undisturbed
from droptime.training.settings.config import TrainConfig


def expected_size(config: TrainConfig) -> int:
    """Return the side of the images the model takes: its ``img_size``, else timm's default.

    Raises:
        ConfigError: there is no such model, or the size is not one number.
    """
    name = timm_name(config.model)
    asked = config.model_args.get("img_size")
    default = get_pretrained_cfg(name)
    size = asked if asked is not None else default.input_size[-1] if default else 224
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    raise ConfigError(f"model_args img_size={size!r}: expected one number, the side in pixels.")


def timm_name(model: str) -> str:
    """Return the timm model behind a short name of the paper's, or the name itself.

    Raises:
        ConfigError: neither the paper nor timm has such a model.
    """
    name: str = PAPER_MODELS[model].timm if model in PAPER_MODELS else model
    if not is_model(name):
        known = [*PAPER_MODELS, *list_models()]
        begun = [name for name in known if name.startswith(model)]
        near = begun[:3] or get_close_matches(model, known, n=3)
        hint = (
            f"did you mean {' or '.join(near)}?"
            if near
            else f"choose {', '.join(PAPER_MODELS)} or see timm.list_models()."
        )
        raise ConfigError(f"There is no model {model!r}: {hint}")
    return name


def build_model(config: TrainConfig, data: ImageData) -> nn.Module:
    """Build the model for the data, its initial weights drawn from the run's seed alone.

    With ``config.weights`` only those of the classifier are drawn. The process's random streams
    are left as they were.

    Raises:
        ConfigError: timm or the model refuses the arguments or the size of the images.
    """
    with undisturbed():
        seed_streams(derive(config.seed, "model"))
        model = make_model(config, classes=len(data.classes), channels=data.channels)
        if config.weights is not None:
            begin_with(model, config, channels=data.channels)
        _check_takes(model, data, config)
    return model


def make_model(config: TrainConfig, *, classes: int, channels: int) -> nn.Module:
    """Build the model that ``config`` names, its weights drawn from the process's stream.

    Raises:
        ConfigError: no such model, or it refuses its arguments or its curves.
    """
    timm_name(config.model)
    given = {"num_classes": classes, "in_chans": channels, **config.model_args}
    if given["num_classes"] != classes:
        raise ConfigError(
            f"model_args num_classes={given['num_classes']!r}, but {config.data} has "
            f"{classes} classes: leave it out."
        )
    _check_curves(config)
    make = make_paper_model if config.model in PAPER_MODELS else timm.create_model
    try:
        model: nn.Module = make(config.model, **given)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ConfigError(f"{config.model} cannot be built with {given}: {error}.") from error
    return model


def _check_curves(config: TrainConfig) -> None:
    paper = PAPER_MODELS.get(config.model)
    if paper is not None and not paper.drops_elements and config.dropout is not None:
        raise ConfigError(
            f"dropout={config.dropout!r}: the paper trains {config.model} with stochastic depth "
            f"only. Give drop_path, or take timm's own {paper.timm}, whose dropout is driven."
        )


def _check_takes(model: nn.Module, data: ImageData, config: TrainConfig) -> None:
    sample = torch.zeros(1, data.channels, data.size, data.size)
    try:
        with torch.no_grad():
            model.eval()(sample)
    except (RuntimeError, ValueError, AssertionError) as error:
        why = str(error).rstrip(".")
        raise ConfigError(
            f"{config.model} cannot take images of {data.size} x {data.size} pixels: {why}. "
            f"Set image_size to what it takes, or model_args such as img_size={data.size}."
        ) from error
    model.train()
