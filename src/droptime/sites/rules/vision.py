"""timm, torchvision and smp: stochastic depth, and what drops by a float of its own."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from torch import nn

from droptime.sites.grips import PlainFloat, drop_path_layer, dropout_layer
from droptime.sites.registry import BAKED, Found
from droptime.sites.site import DROP_BLOCK, DROP_PATH, HEAD, PATCH


def inception_heads(module: nn.Module, path: str) -> Iterator[Found]:
    """Torchvision's GoogLeNet and Inception: the dropout before ``fc``, whose path does not say."""
    name = type(module).__name__.removeprefix("Quantizable")
    if name in ("GoogLeNet", "Inception3", "InceptionAux"):
        child = getattr(module, "dropout", None)
        if type(child) is nn.Dropout:
            grip = functools.partial(dropout_layer, child, "p")
            yield Found(child, "p", HEAD, child.p, grip, child="dropout")


def stochastic_depth(module: nn.Module, path: str) -> Iterator[Found]:
    """Timm's ``DropPath``, torchvision's ``StochasticDepth``, transformers' ``SwinDropPath``.

    Known by the end of the class name and the attribute: transformers has a class a model.
    """
    name = type(module).__name__
    attribute = "p" if name == "StochasticDepth" else "drop_prob"
    if name.endswith(("DropPath", "StochasticDepth")) and attribute in vars(module):
        grip = functools.partial(drop_path_layer, module, attribute)
        yield Found(module, attribute, DROP_PATH, float_rate(module, attribute), grip)


def library_floats(module: nn.Module, path: str) -> Iterator[Found]:
    """Modules that drop by a float of their own, by name."""
    kind, attribute = {
        "DropBlock2d": (DROP_BLOCK, "drop_prob"),
        "PatchDropout": (PATCH, "prob"),
        "PatchDropoutWithIndices": (PATCH, "prob"),
        "ResidualDrop": (DROP_PATH, "drop"),
        "Hiera": (PATCH, "patch_drop_rate"),
        "EfficientNetEncoder": (DROP_PATH, "_drop_connect_rate"),
    }.get(type(module).__name__, ("", ""))
    if attribute in vars(module):
        grip = functools.partial(PlainFloat, module, attribute)
        yield Found(module, attribute, kind, float_rate(module, attribute), grip, note=BAKED)


def float_rate(module: nn.Module, attribute: str) -> float:
    """A rate attribute; None means 0 in timm and torchvision."""
    return float(getattr(module, attribute) or 0.0)
