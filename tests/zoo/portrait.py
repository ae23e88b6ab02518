"""What a model is, in full, to tell whether it was given back as it was."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Portrait:
    """Everything about a model that driving its rates must leave as it was.

    Attributes:
        parts: each module and each of its attributes, by path: the objects themselves, and copies
            of the dictionaries and lists among them.
        state: copies of the values of ``state_dict``.
        config: a copy of the values of ``model.config``, where there is one.
    """

    parts: dict[str, object]
    state: dict[str, object]
    config: object

    @classmethod
    def of(cls, model: nn.Module) -> Portrait:
        """Take a portrait; costs a copy of all parameters and buffers."""
        parts: dict[str, object] = {}
        for path, module in model.named_modules(remove_duplicate=False):
            parts[f"{path} (module)"] = module
            parts[f"{path} (class)"] = type(module)
            parts |= {f"{path}.{name}": _held(value) for name, value in vars(module).items()}
        state = {name: _cloned(value) for name, value in model.state_dict().items()}
        return cls(parts, state, _config(model))

    def changes(self, model: nn.Module) -> list[str]:
        """What is no longer so in the model; empty if it was given back."""
        now = Portrait.of(model)
        changed = [
            *_changed(self.parts, now.parts),
            *(f"state_dict: {name}" for name in _changed(self.state, now.state)),
        ]
        if list(self.state) != list(now.state):
            changed.append("order of state_dict")
        if self.config != now.config:
            changed.append("config")
        return changed


def _held(value: object) -> object:
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list) else value


def _cloned(value: object) -> object:
    return value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)


def _config(model: nn.Module) -> object:
    to_dict = getattr(getattr(model, "config", None), "to_dict", None)
    return copy.deepcopy(to_dict()) if to_dict is not None else None


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    keys = list(dict.fromkeys([*before, *after]))
    return [
        key
        for key in keys
        if (key in before) != (key in after) or not _same(before[key], after[key])
    ]


def _same(before: Any, after: Any) -> bool:
    if before is after:
        return True
    if type(before) is not type(after):
        return False
    if isinstance(before, Tensor):
        return before.dtype == after.dtype and torch.equal(before, after)
    if isinstance(before, dict):
        return list(before) == list(after) and all(_same(before[k], after[k]) for k in before)
    if isinstance(before, list):
        return len(before) == len(after) and all(map(_same, before, after))
    return bool(before == after)
