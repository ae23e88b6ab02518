"""Placeholders: what stands where a layer would be, because its rate was 0."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from torch import nn

from droptime.layers import Dropout, DropPath, TensorRate
from droptime.sites.code import forward_methods
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
    elif name in _SEALED:
        kind, note = _SEALED[name]
        yield Found(module, "drop_prob", kind, 0.0, None, state="sealed", note=note)
    elif names_dropout(name):
        grip = functools.partial(dropout_layer, module, "p")
        yield Found(module, "p", dropout_kind(path), 0.0, grip, state="closed")


def empty_slots(module: nn.Module, path: str) -> Iterator[Found]:
    """A None where a layer would be, if forward asks for it, as in timm's ResNets."""
    if type(module).__module__.startswith("torch.nn."):
        return
    slots = [n for n, value in (*vars(module).items(), *module._modules.items()) if value is None]
    for name in sorted(slots):
        if "drop" not in name or not any(name in m.asked for m in forward_methods(type(module))):
            continue
        if name in _SEALED:
            kind, note = _SEALED[name]
            yield Found(module, name, kind, 0.0, None, child=name, state="sealed", note=note)
        elif names_drop_path(name):
            yield _slot(module, name, DropPath(), "drop_prob", DROP_PATH)
        elif names_dropout(name):
            yield _slot(module, name, Dropout(0.0), "p", dropout_kind(f"{path}.{name}"))


def _slot(module: nn.Module, name: str, layer: TensorRate, attribute: str, kind: str) -> Found:
    layer.site_attribute = attribute
    grip = functools.partial(Slot, module, name, layer)
    return Found(layer, attribute, kind, 0.0, grip, child=name, state="closed")


_SEALED = {
    "drop_block": (DROP_BLOCK, "a placeholder: build the model with drop_block_rate above 0"),
    "patch_drop": (PATCH, "a placeholder: build the model with patch_drop_rate above 0"),
}
