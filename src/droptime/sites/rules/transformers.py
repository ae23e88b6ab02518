"""transformers: layer drop, dropout of the heads, and what drops by a float of its own."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from torch import nn

from droptime.sites.code import forward_methods
from droptime.sites.grips import PlainFloat, dropout_layer, is_dropout
from droptime.sites.kinds import names_dropout
from droptime.sites.layer_drops import LayerDrop
from droptime.sites.registry import BAKED, Found
from droptime.sites.site import DROP_PATH, ELEMENT, HEAD, LAYER_DROP

_RATE = re.compile(r"self\.(?:(\w+)\.)?(\w*layer_?drop\w*)")
_HEADS = re.compile(r"\w*(Classif|QuestionAnswering|MultipleChoice|SequenceSummary)\w*")


def layer_drop(module: nn.Module, path: str) -> Iterator[Found]:
    """A float, of the module or of its config, that a loop over layers compares with a draw."""
    loads = {load for method in forward_methods(type(module)) for load in method.loads}
    for match in filter(None, map(_RATE.fullmatch, sorted(loads))):
        owner, name = match.groups()
        holder = vars(module).get(owner) if owner else module
        value = getattr(holder, name, None)
        if isinstance(value, (float, int)) and not isinstance(holder, dict):
            attribute = f"{owner}.{name}" if owner else name
            grip = functools.partial(LayerDrop, module, attribute, path)
            yield Found(module, attribute, LAYER_DROP, float(value), grip)


def head_dropout(module: nn.Module, path: str) -> Iterator[Found]:
    """The dropout in front of a classifier, held by a model or a head that classifies."""
    if not _HEADS.fullmatch(type(module).__name__):
        return
    for name, child in module.named_children():
        grip = functools.partial(dropout_layer, child, "p")
        if is_dropout(child):
            yield Found(child, "p", HEAD, child.p, grip, child=name)
        elif type(child) is nn.Identity and names_dropout(name):
            yield Found(child, "p", HEAD, 0.0, grip, child=name, state="closed")


def own_floats(module: nn.Module, path: str) -> Iterator[Found]:
    """Modules that drop by a float of their own, by class name."""
    kind, attribute = {
        "LevitResidualLayer": (DROP_PATH, "drop_rate"),
        "StableDropout": (ELEMENT, "drop_prob"),
    }.get(type(module).__name__, ("", ""))
    if attribute in vars(module):
        grip = functools.partial(PlainFloat, module, attribute)
        yield Found(module, attribute, kind, vars(module)[attribute], grip, note=BAKED)
