"""The rules droptime ships: torch.nn, timm and torchvision."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from torch import nn

from droptime.layers import DropPath, HeldRate, TensorRate, held_floats
from droptime.sites.code import forward_names
from droptime.sites.grips import (
    FusedDropout,
    PlainFloat,
    TensorFloat,
    drop_path_layer,
    dropout_layer,
)
from droptime.sites.kinds import dropout_kind, names_drop_path, names_dropout
from droptime.sites.registry import Found, rule
from droptime.sites.site import ATTENTION, DROP_BLOCK, DROP_PATH, ELEMENT, HEAD, PATCH

_BAKED = "a Python float: torch.compile compiles again for each value"
_DROPS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "scaled_dot_product_attention"}
_CHANNEL_DROPOUTS = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


@rule
def own_layers(module: nn.Module, path: str) -> Iterator[Found]:
    """Our own layers, in models built with them and in copies of driven models."""
    if isinstance(module, TensorRate) and not isinstance(module, HeldRate):
        kind = DROP_PATH if isinstance(module, DropPath) else dropout_kind(path)
        grip = functools.partial(PlainFloat, module, "p")
        yield Found(module, module.site_attribute, kind, module.p, grip)


@rule
def fused_attention(module: nn.Module, path: str) -> Iterator[Found]:
    """A child dropout whose ``p`` the module hands to ``scaled_dot_product_attention``."""
    for names in forward_names(type(module)):
        if not {"scaled_dot_product_attention", "p"} <= names:
            continue
        for name, child in module.named_children():
            if type(child) is nn.Dropout and name in names and dropout_kind(name) == ATTENTION:
                grip = functools.partial(FusedDropout, child, module)
                yield Found(child, "p", ATTENTION, child.p, grip, child=name)


@rule
def inception_heads(module: nn.Module, path: str) -> Iterator[Found]:
    """Torchvision's GoogLeNet and Inception: the dropout before ``fc``, whose path does not say."""
    if type(module).__name__ in ("GoogLeNet", "Inception3", "InceptionAux"):
        child = getattr(module, "dropout", None)
        if type(child) is nn.Dropout:
            grip = functools.partial(dropout_layer, child, "p")
            yield Found(child, "p", HEAD, child.p, grip, child="dropout")


@rule
def torch_dropout(module: nn.Module, path: str) -> Iterator[Found]:
    """``nn.Dropout`` and its relatives."""
    if type(module) is nn.Dropout:
        grip = functools.partial(dropout_layer, module, "p")
        yield Found(module, "p", dropout_kind(path), module.p, grip)
    elif type(module) in _CHANNEL_DROPOUTS:
        tensor = functools.partial(TensorFloat, module, "p")
        yield Found(module, "p", dropout_kind(path), _float(module, "p"), tensor)
    elif isinstance(module, nn.modules.dropout._DropoutNd):
        plain = functools.partial(PlainFloat, module, "p")
        yield Found(module, "p", dropout_kind(path), module.p, plain, note=_BAKED)


@rule
def torch_attention(module: nn.Module, path: str) -> Iterator[Found]:
    """``nn.MultiheadAttention``: a float, not a module."""
    if isinstance(module, nn.MultiheadAttention):
        grip = functools.partial(TensorFloat, module, "dropout")
        yield Found(module, "dropout", ATTENTION, module.dropout, grip)


@rule
def held(module: nn.Module, path: str) -> Iterator[Found]:
    """Floats that a scheduler holds in a tensor, here or in the model this one is a copy of."""
    for attribute in held_floats(module):
        kind = HEAD if not path else dropout_kind(path, attribute)
        grip = functools.partial(TensorFloat, module, attribute)
        yield Found(module, attribute, kind, getattr(module, attribute), grip)


@rule
def torch_recurrent(module: nn.Module, path: str) -> Iterator[Found]:
    """RNN, LSTM and GRU: dropout between layers, so none with a single layer."""
    if isinstance(module, nn.RNNBase):
        grip = functools.partial(PlainFloat, module, "dropout")
        if module.num_layers > 1:
            yield Found(module, "dropout", ELEMENT, module.dropout, grip, note=_BAKED)
        else:
            note = "drops between layers, and there is one"
            yield Found(module, "dropout", ELEMENT, module.dropout, None, state="dead", note=note)


@rule
def stochastic_depth(module: nn.Module, path: str) -> Iterator[Found]:
    """Timm's ``DropPath`` and torchvision's ``StochasticDepth``, by class name and attribute."""
    name = type(module).__name__
    attribute = "p" if name == "StochasticDepth" else "drop_prob"
    if name in ("DropPath", "StochasticDepth") and attribute in vars(module):
        grip = functools.partial(drop_path_layer, module, attribute)
        yield Found(module, attribute, DROP_PATH, _float(module, attribute), grip)


@rule
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
    elif name in ("drop_block", "patch_drop"):
        kind, argument = (
            (DROP_BLOCK, "drop_block_rate") if name == "drop_block" else (PATCH, "patch_drop_rate")
        )
        note = f"a placeholder: build the model with {argument} above 0"
        yield Found(module, "drop_prob", kind, 0.0, None, state="sealed", note=note)


@rule
def library_floats(module: nn.Module, path: str) -> Iterator[Found]:
    """Modules of timm and torchvision that drop by a float of their own, by name."""
    kind, attribute = {
        "DropBlock2d": (DROP_BLOCK, "drop_prob"),
        "PatchDropout": (PATCH, "prob"),
        "PatchDropoutWithIndices": (PATCH, "prob"),
        "ResidualDrop": (DROP_PATH, "drop"),
        "Hiera": (PATCH, "patch_drop_rate"),
    }.get(type(module).__name__, ("", ""))
    if attribute in vars(module):
        grip = functools.partial(PlainFloat, module, attribute)
        yield Found(module, attribute, kind, _float(module, attribute), grip, note=_BAKED)


@rule
def functional_dropout(module: nn.Module, path: str) -> Iterator[Found]:
    """A float that a method hands to a dropout function, or one that nothing reads.

    A dropout function is told the training flag, so a method that mentions both the float and
    ``training`` passes it on; a float that no method of forward mentions is only a record of how
    the model was built.
    """
    if type(module).__module__.startswith("torch.nn."):
        return
    methods = forward_names(type(module))
    for attribute, value in vars(module).items():
        if type(value) not in (float, int) or "drop" not in attribute:
            continue
        readers = [names for names in methods if attribute in names]
        kind = HEAD if not path else dropout_kind(path, attribute)
        if any("training" in names and names & _DROPS for names in readers):
            grip = functools.partial(TensorFloat, module, attribute)
            yield Found(module, attribute, kind, value, grip)
        elif readers:
            note = "read in a way droptime does not know: set it yourself or register a rule"
            yield Found(module, attribute, kind, value, None, state="unknown", note=note)
        else:
            note = "a record of how the model was built: no forward reads it"
            yield Found(module, attribute, kind, value, None, state="dead", note=note)


def _float(module: nn.Module, attribute: str) -> float:
    """A rate attribute; None means 0 in timm and torchvision."""
    return float(getattr(module, attribute) or 0.0)
