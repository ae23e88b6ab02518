"""What droptime itself put there: its layers, and floats that it holds in tensors."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from torch import nn

from droptime.layers import DropPath, HeldRate, TensorRate, held_floats
from droptime.sites.grips import PlainFloat, TensorFloat
from droptime.sites.kinds import dropout_kind
from droptime.sites.registry import Found
from droptime.sites.site import DROP_PATH
from droptime.sites.usage import float_kind


def own_layers(module: nn.Module, path: str) -> Iterator[Found]:
    """Our own layers, in models built with them and in copies of driven models."""
    if isinstance(module, TensorRate) and not isinstance(module, HeldRate):
        kind = DROP_PATH if isinstance(module, DropPath) else dropout_kind(path)
        grip = functools.partial(PlainFloat, module, "p")
        yield Found(module, module.site_attribute, kind, module.p, grip)


def held(module: nn.Module, path: str) -> Iterator[Found]:
    """Floats that a scheduler holds in a tensor, here or in the model this one is a copy of."""
    for attribute in held_floats(module):
        kind = float_kind(module, path, attribute)
        grip = functools.partial(TensorFloat, module, attribute)
        yield Found(module, attribute, kind, getattr(module, attribute), grip)
