"""Every family of transformers: small models and inputs for them."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.zoo.batches import example
from tests.zoo.families import CHANGES, MODELS, UNBUILT
from tests.zoo.shrinking import RAISED, shrink
from tests.zoo.specimen import Specimen

LARGEST = 20_000_000
"""Parameters of the largest model that is built."""


def specimens() -> Iterator[Specimen]:
    """One specimen for each folder of ``transformers.models`` that has a modeling file."""
    for family in families():
        if family not in UNBUILT:
            try:
                _, model = choose(family)
            except LookupError:
                continue
            yield Specimen(
                "transformers", family, model, functools.partial(build, family), example
            )


def families() -> list[str]:
    """Folders of ``transformers.models`` with a configuration and a modeling file."""
    import transformers

    root = Path(transformers.__file__).parent / "models"
    return sorted(
        {file.parent.name for file in root.glob("*/modeling_*.py")}
        & {file.parent.name for file in root.glob("*/configuration_*.py")} - {"auto"}
    )


def unbuilt() -> dict[str, str]:
    """Families without a specimen, and why."""
    found = dict(UNBUILT)
    for family in families():
        if family not in found:
            try:
                choose(family)
            except LookupError as error:
                found[family] = str(error)
    return found


@functools.cache
def choose(family: str) -> tuple[str, str]:
    """The names of a family's config and model class: the base model where there is one."""
    import transformers
    from transformers.models.auto import configuration_auto, modeling_auto

    types = [
        model_type
        for model_type in configuration_auto.CONFIG_MAPPING_NAMES
        if configuration_auto.model_type_to_module_name(model_type) == family
    ]
    types.sort(key=lambda t: t.replace("-", "_") != family)
    if family in MODELS:
        return MODELS[family]
    heads = [
        getattr(modeling_auto, name)
        for name in dir(modeling_auto)
        if name.startswith("MODEL_FOR_") and name.endswith("_MAPPING_NAMES")
    ]
    for mapping in (modeling_auto.MODEL_MAPPING_NAMES, *heads):
        for model_type in types[:1]:
            if model_type in mapping:
                name = mapping[model_type]
                name = name if isinstance(name, str) else name[0]
                return configuration_auto.CONFIG_MAPPING_NAMES[model_type], name
    for model_type in types:
        config = configuration_auto.CONFIG_MAPPING_NAMES[model_type]
        folder = Path(transformers.__file__).parent / "models" / family
        for file in folder.glob("modeling_*.py"):
            module = importlib.import_module(f"transformers.models.{family}.{file.stem}")
            for name, value in vars(module).items():
                if (
                    inspect.isclass(value)
                    and issubclass(value, transformers.PreTrainedModel)
                    and value.__module__ == module.__name__
                    and getattr(value.config_class, "__name__", "") == config
                    and "forward" in vars(value)
                ):
                    return config, name
    raise LookupError("no model takes a config of this family")


def find(family: str, name: str) -> Any:
    """A class of a family by name."""
    import transformers

    folder = Path(transformers.__file__).parent / "models" / family
    for file in sorted(folder.glob("configuration_*.py")) + sorted(folder.glob("modeling_*.py")):
        module = importlib.import_module(f"transformers.models.{family}.{file.stem}")
        if name in vars(module):
            return vars(module)[name]
    return getattr(transformers, name)


def build(family: str, raised: bool) -> nn.Module:
    """The family's model, small, with every drop rate raised or all of them at 0."""
    config_name, model_name = choose(family)
    config_class, model_class = find(family, config_name), find(family, model_name)
    rate = RAISED if raised else 0.0
    config = shrink(config_class, rate, CHANGES.get(family, {}))
    with torch.device("meta"):
        size = sum(p.numel() for p in model_class(config).parameters())
    if size > LARGEST:
        raise ValueError(f"not small: {size} parameters")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = shrink(config_class, rate, CHANGES.get(family, {}))
        model: nn.Module = model_class(config)
    return model.train()
