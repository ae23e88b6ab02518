"""Begin with the weights of another model, all but its classifier."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from droptime.errors import ConfigError
from droptime.training.models.paper import PAPER_MODELS
from droptime.training.saving.weights import find_weights, read_weights, run_of
from droptime.training.settings.config import TrainConfig

TIMM = "timm"
"""The setting ``weights`` that stands for timm's own pretrained weights."""


def begin_with(model: nn.Module, config: TrainConfig, *, channels: int) -> None:
    """Load ``config.weights`` into a new model; its classifier keeps its own initial weights.

    Embeddings of positions and patches are resampled by timm where the images have another size.

    Args:
        model: as built for the new data.
        config: ``weights`` names a run directory, a safetensors file, or is ``"timm"``.
        channels: of the images.

    Raises:
        ConfigError: the weights are of another model, or timm's cannot be had.
        CheckpointError: a file is missing, torn or of another format.
    """
    assert config.weights is not None
    if config.weights == TIMM:
        given = _pretrained(config, channels)
    else:
        given = _on_disk(Path(config.weights).expanduser())
    head = _classifier(model)
    state = {name: value for name, value in _adapt(given, model).items() if not _of(name, head)}
    own = {name: v for name, v in model.state_dict().items() if not _of(name, head)}
    _check_fit(own, state, f"weights={config.weights!r}", config)
    model.load_state_dict(state, strict=False)


def whole_weights(path: Path, model: nn.Module, config: TrainConfig) -> dict[str, Tensor]:
    """Return every weight of a safetensors file, the classifier's too, as ``model`` names them.

    Raises:
        ConfigError: the weights are of another model.
        CheckpointError: the file is missing, torn or of another format.
    """
    state = _adapt(read_weights(path), model)
    _check_fit(model.state_dict(), state, f"The weights of {path}", config)
    return state


def _on_disk(path: Path) -> Mapping[str, Tensor]:
    if path.is_file() and run_of(path) is None:
        return read_weights(path)
    weights = find_weights(path).weights
    return weights.get("raw", next(iter(weights.values())))


def _pretrained(config: TrainConfig, channels: int) -> Mapping[str, Tensor]:
    """Have timm make the model with its weights; fitted to the images' size and channels."""
    if config.model in PAPER_MODELS:
        raise ConfigError(
            f"There are no weights of the paper's {config.model} to download: give weights a run "
            f"or a file, or take timm's own {PAPER_MODELS[config.model].timm}."
        )
    try:
        whole: nn.Module = timm.create_model(
            config.model, pretrained=True, in_chans=channels, **config.model_args
        )
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConfigError(
            f"timm's weights of {config.model} cannot be had ({reason}): they are downloaded the "
            "first time. Give weights a safetensors file or a run directory instead."
        ) from error
    return whole.state_dict()


def _classifier(model: nn.Module) -> str:
    """Return the path of the layer that maps features to classes.

    Raises:
        ConfigError: the model has none that timm can name.
    """
    layer = getattr(model, "get_classifier", lambda: None)()
    found = next((name for name, module in model.named_modules() if module is layer), "")
    if not found:
        raise ConfigError(f"{type(model).__name__} has no classifier to replace.")
    return found


def _adapt(given: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Let timm's own filter of the model resample what depends on the images' size."""
    module: Any = sys.modules[type(model).__module__]
    fit = getattr(module, "checkpoint_filter_fn", None)
    with torch.no_grad():
        return dict(given) if fit is None else dict(fit(dict(given), model))


def _check_fit(
    own: Mapping[str, Tensor], given: Mapping[str, Tensor], what: str, config: TrainConfig
) -> None:
    if problems := _misfits(own, given):
        raise ConfigError(
            f"{what} do not fit {config.model}: {'; '.join(problems)}. Give the model and "
            "model_args that they are of."
        )


def _misfits(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """Return what is missing, not known, or of another shape; the first three of each."""
    shapes = [
        f"{name} is {_shape(given[name])} there and {_shape(own[name])} here"
        for name in own
        if name in given and own[name].shape != given[name].shape
    ]
    listed = {
        "they lack": [name for name in own if name not in given],
        "they have, and it has not,": [name for name in given if name not in own],
        "": shapes,
    }
    return [f"{what} {_first(names)}".strip() for what, names in listed.items() if names]


def _first(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _shape(value: Tensor) -> str:
    return " x ".join(map(str, value.shape))


def _of(name: str, layer: str) -> bool:
    return name.startswith(f"{layer}.")
