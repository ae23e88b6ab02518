"""A batch of two samples for a model of transformers, from the signature of its forward."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

LENGTH, SAMPLES = 16, 2


class Batch:
    """The keywords of one forward while they are made, and what its config says of them."""

    def __init__(self, model: Any) -> None:
        self.model, self.config = model, model.config
        self.text = self.config.get_text_config(encoder=True)
        self.vision = _part(self.config, "vision", "image", "vit", "backbone", "encoder")
        self.audio = _part(self.config, "audio", "speech", "encoder")
        self.parameters = inspect.signature(model.forward).parameters
        self.made: dict[str, Any] = {}
        self._generator = torch.Generator().manual_seed(0)

    def normal(self, *shape: int) -> Tensor:
        """Normal numbers, the same every time."""
        return torch.randn(*shape, generator=self._generator)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Numbers below ``high``, the same every time."""
        return torch.randint(0, high, shape, generator=self._generator)

    def look(self, *names: str, default: Any = None, inside: Any = None) -> Any:
        """The first of some fields that a config has: that of vision, the whole, that of text."""
        for config in (self.vision, self.config, self.text) if inside is None else (inside,):
            for name in names:
                if (value := getattr(config, name, None)) is not None:
                    return value
        return default

    def words(self, config: Any = None) -> Tensor:
        """Random tokens none of which is special."""
        config = self.text if config is None else config
        fields = {**vars(self.config), **vars(config)}.items()
        special = {
            value
            for name, value in fields
            if name.endswith(("_id", "_index")) and isinstance(value, int)
        }
        size = min(getattr(config, "vocab_size", None) or 100, 128)
        plain = torch.tensor([token for token in range(size) if token not in special])
        return plain[self.integers(len(plain), SAMPLES, LENGTH)]


def example(model: nn.Module) -> dict[str, Any]:
    """A batch of two samples with which the model runs forward: keywords.

    It holds whatever the forward demands, and what makes every part of the model run: the images
    of a model of text and images as well as its text.
    """
    from tests.zoo.inputs import INPUTS
    from tests.zoo.makers import COMPANIONS, MAKERS

    batch = Batch(model)
    given = INPUTS.get(type(model).__module__.split(".")[2], lambda _: {})(batch)
    batch.made = {name: value for name, value in given.items() if value is not None}
    demanded = set(_demanded(model))
    for name in batch.parameters:
        if name in given or (name in COMPANIONS and name not in demanded):
            continue
        if name in MAKERS and (value := MAKERS[name](batch)) is not None:
            batch.made[name] = value
    if "input_ids" in batch.parameters and "input_ids" not in given:
        batch.made["input_ids"] = _text(batch)
    if "mm_token_type_ids" in batch.parameters:
        batch.made["mm_token_type_ids"] = (batch.made["input_ids"] == _token(batch, "image")).long()
    return batch.made


def _part(config: Any, *names: str) -> Any:
    """The sub-config, however deep, whose field is named so; else the config itself."""
    for name in names:
        for key, value in vars(config).items():
            if hasattr(value, "sub_configs") and not key.startswith("_"):
                if name in key:
                    return value
                if (found := _part(value, name)) is not value:
                    return found
    return config


def _demanded(model: Any) -> Iterator[str]:
    """Parameters without a default, of the forward and of what it hands images and sounds to."""
    inner = [getattr(model, f"get_{kind}_features", None) for kind in ("image", "audio")]
    for function in filter(None, [model.forward, *inner]):
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.default is inspect.Parameter.empty:
                yield name


def _text(batch: Batch) -> Tensor:
    """Words, with as many tokens of images and sounds among them as these have features."""
    ids = batch.words()
    for kind in ("image", "audio"):
        token = _token(batch, kind)
        modules = (m for m in batch.model.modules() if hasattr(m, f"get_{kind}_features"))
        owner = next(modules, None)
        if token is None or owner is None:
            continue
        if features := _features(batch, getattr(owner, f"get_{kind}_features")):
            start = batch.look("vision_start_token_id")
            opening = [] if start is None else [torch.full((SAMPLES, 1), start)]
            places = torch.full((SAMPLES, features // SAMPLES), token)
            ids = torch.cat([ids[:, :2], *opening, places, ids[:, 2:]], 1)
    return ids


def _token(batch: Batch, kind: str) -> int | None:
    """The token that stands for a feature."""
    token: int | None = batch.look(f"{kind}_token_id", f"{kind}_token_index")
    return token


def _features(batch: Batch, get: Callable[..., Any]) -> int:
    """How many features the model makes of the images or sounds in a batch."""
    parameters = inspect.signature(get).parameters
    given = {name: value for name, value in batch.made.items() if name in parameters}
    if not given:
        return 0
    batch.model.eval()
    try:
        with torch.no_grad():
            return _rows(get(**given))
    finally:
        batch.model.train()


def _rows(features: Any) -> int:
    for name in ("pooler_output", "last_hidden_state"):
        if getattr(features, name, None) is not None:
            return _rows(getattr(features, name))
    if isinstance(features, Tensor):
        return features.numel() // features.shape[-1]
    return sum(map(_rows, features))
