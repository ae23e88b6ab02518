"""Placeholders: an ``nn.Identity`` built where a layer would be, because its rate was 0."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from torch import nn

from droptime.sites.grips import drop_path_layer, dropout_layer
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
    elif name in ("drop_block", "patch_drop"):
        kind, argument = (
            (DROP_BLOCK, "drop_block_rate") if name == "drop_block" else (PATCH, "patch_drop_rate")
        )
        note = f"a placeholder: build the model with {argument} above 0"
        yield Found(module, "drop_prob", kind, 0.0, None, state="sealed", note=note)
    elif names_dropout(name):
        grip = functools.partial(dropout_layer, module, "p")
        yield Found(module, "p", dropout_kind(path), 0.0, grip, state="closed")
