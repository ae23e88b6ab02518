"""Placeholders: what stands where a layer would be, because its rate was 0."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from torch import nn

from droptime.layers import Dropout, DropPath
from droptime.sites.code import asked_for_none
from droptime.sites.grips import Slot, drop_path_layer, dropout_layer
from droptime.sites.kinds import dropout_kind, names_drop_path, names_dropout
from droptime.sites.registry import Found
from droptime.sites.site import DROP_BLOCK, DROP_PATH, PATCH


def placeholders(module: nn.Module, path: str) -> Iterator[Found]:
    """An ``nn.Identity`` built where a layer would be, because its rate was 0."""
    if type(module) is not nn.Identity:
        return
    name = path.rsplit(".", 1)[-1]
    if names_drop_path(name):
        grip = functools.partial(drop_path_layer, module, "drop_prob")
        yield Found(module, "drop_prob", DROP_PATH, 0.0, grip, state="closed")
    elif names_dropout(name):
        grip = functools.partial(dropout_layer, module, "p")
        yield Found(module, "p", dropout_kind(path), 0.0, grip, state="closed")
    elif name in _SEALED:
        kind, argument = _SEALED[name]
        yield Found(module, "drop_prob", kind, 0.0, None, state="sealed", note=_cure(argument))


def empty_slots(module: nn.Module, path: str) -> Iterator[Found]:
    """An attribute that is None where a layer would be, and that forward asks for: timm's ResNets."""
    if type(module).__module__.startswith("torch.nn."):
        return
    for name, value in sorted((vars(module) | module._modules).items()):
        if value is not None or "drop" not in name or name not in asked_for_none(type(module)):
            continue
        if name in _SEALED:
            kind, argument = _SEALED[name]
            yield Found(
                module, name, kind, 0.0, None, name, state="sealed", note=_cure(argument)
            )
        elif names_drop_path(name) or names_dropout(name) or name == "dropout":
            drops_path = names_drop_path(name)
            layer = DropPath() if drops_path else Dropout(0.0)
            attribute = layer.site_attribute = "drop_prob" if drops_path else "p"
            kind = DROP_PATH if drops_path else dropout_kind(f"{path}.{name}")
            grip = functools.partial(Slot, module, name, layer)
            yield Found(layer, attribute, kind, 0.0, grip, name, state="closed")


_SEALED = {"drop_block": (DROP_BLOCK, "drop_block_rate"), "patch_drop": (PATCH, "patch_drop_rate")}


def _cure(argument: str) -> str:
    return f"a placeholder: build the model with {argument} above 0"
