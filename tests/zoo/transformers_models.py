"""Every family of transformers: a small model of each, and a batch for it."""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.zoo.batches import example
from tests.zoo.families import CHANGES, MODELS, UNBUILT
from tests.zoo.shrinking import shrink
from tests.zoo.specimen import Specimen

RAISED = 0.2
"""The rate that a model with rates up is built with."""

LARGEST = 20_000_000
"""How many parameters a model may have."""

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def specimens() -> Iterator[Specimen]:
    """One specimen for each family that can be built; no model and no modeling file is loaded."""
    for family in families():
        if family not in UNBUILT:
            build = functools.partial(_build, family)
            yield Specimen("transformers", family, choose(family)[1], build, example)


def unbuilt() -> dict[str, str]:
    """Families without a specimen, and why."""
    return {family: UNBUILT[family] for family in families() if family in UNBUILT}


def families() -> list[str]:
    """Folders of ``transformers.models`` with a configuration and a modeling file."""
    folders = (folder for folder in _models().iterdir() if folder.name != "auto")
    return sorted(
        folder.name
        for folder in folders
        if any(folder.glob("modeling_*.py")) and any(folder.glob("configuration_*.py"))
    )


@functools.cache
def choose(family: str) -> tuple[str, str]:
    """Names of a family's config and model class: the base model, or else one with a head."""
    from transformers.models.auto import configuration_auto, modeling_auto

    if family in MODELS:
        return MODELS[family]
    configs = {
        model_type: config
        for model_type, config in configuration_auto.CONFIG_MAPPING_NAMES.items()
        if configuration_auto.model_type_to_module_name(model_type) == family
    }
    types = sorted(configs, key=lambda model_type: model_type.replace("-", "_") != family)
    tasks = [getattr(modeling_auto, name) for name in dir(modeling_auto) if _is_mapping(name)]
    for models in (modeling_auto.MODEL_MAPPING_NAMES, *tasks):
        if types[0] in models:
            name = models[types[0]]
            return configs[types[0]], name if isinstance(name, str) else name[0]
    return next(
        (configs[model_type], name)
        for model_type in types
        for name in _models_of(family, configs[model_type])
    )


def _is_mapping(name: str) -> bool:
    return name.startswith("MODEL_FOR_") and name.endswith("_MAPPING_NAMES")


def _models() -> Path:
    import transformers

    return Path(transformers.__file__).parent / "models"


def _modules(family: str, kind: str) -> Iterator[Any]:
    for file in sorted((_models() / family).glob(f"{kind}_*.py")):
        yield importlib.import_module(f"transformers.models.{family}.{file.stem}")


def _models_of(family: str, config: str) -> Iterator[str]:
    """Classes of models with a forward of their own that take a config."""
    from transformers import PreTrainedModel

    for module in _modules(family, "modeling"):
        for name, each in vars(module).items():
            if inspect.isclass(each) and issubclass(each, PreTrainedModel):
                takes = getattr(getattr(each, "config_class", None), "__name__", None) == config
                if takes and each.__module__ == module.__name__ and "forward" in vars(each):
                    yield name


def _find(family: str, kind: str, name: str) -> Any:
    """A class of a family's files, or one that the family borrows."""
    import transformers

    modules = (vars(module) for module in _modules(family, kind))
    return next((each[name] for each in modules if name in each), None) or getattr(
        transformers, name
    )


def _build(family: str, raised: bool) -> nn.Module:
    """The family's model, small, with every drop rate raised or all of them at 0."""
    config_name, model_name = choose(family)
    config_class = _find(family, "configuration", config_name)
    model_class = _find(family, "modeling", model_name)
    config = shrink(config_class, RAISED if raised else 0.0, CHANGES.get(family, {}))
    with torch.device("meta"):
        size = sum(p.numel() for p in model_class(copy.deepcopy(config)).parameters())
    if size > LARGEST:
        raise ValueError(f"not small: {size:,} parameters")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = model_class(config)
    return model.train()
