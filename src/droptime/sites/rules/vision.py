"""timm, torchvision and smp: stochastic depth, and what drops by a float of its own."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from torch import nn

from droptime.layers import residual_drop, timm_drop_block, torchvision_drop_block
from droptime.sites.grips import PlainFloat, TensorFloat, drop_path_layer, dropout_layer
from droptime.sites.registry import BAKED, RESHAPES, Found
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


def drawn_by_the_library(module: nn.Module, path: str) -> Iterator[Found]:
    """Modules of timm and torchvision that draw masks by code of their own, by name and attribute.

    Compiled code takes their place while they drop; see :mod:`droptime.layers.forwards`.
    """
    for name, attribute, kind, traced in _DRAWN:
        if type(module).__name__ == name and hasattr(module, attribute):
            grip = functools.partial(TensorFloat, module, attribute, traced)
            yield Found(module, attribute, kind, float_rate(module, attribute), grip)


_DRAWN = (
    ("DropBlock2d", "drop_prob", DROP_BLOCK, timm_drop_block),
    ("DropBlock2d", "p", DROP_BLOCK, torchvision_drop_block),
    ("DropBlock3d", "p", DROP_BLOCK, torchvision_drop_block),
    ("ResidualDrop", "drop", DROP_PATH, residual_drop),
)


def patch_dropout(module: nn.Module, path: str) -> Iterator[Found]:
    """Timm's dropout of input tokens, by name and attribute."""
    attribute = {
        "PatchDropout": "prob",
        "PatchDropoutWithIndices": "prob",
        "Hiera": "patch_drop_rate",
    }.get(type(module).__name__, "")
    if attribute in vars(module):
        grip = functools.partial(PlainFloat, module, attribute)
        yield Found(module, attribute, PATCH, float_rate(module, attribute), grip, note=RESHAPES)


def smp_encoder(module: nn.Module, path: str) -> Iterator[Found]:
    """The EfficientNets of segmentation-models-pytorch, whose encoder hands each block its rate."""
    if type(module).__name__ == "EfficientNetEncoder" and "_drop_connect_rate" in vars(module):
        grip = functools.partial(PlainFloat, module, "_drop_connect_rate")
        rate = float_rate(module, "_drop_connect_rate")
        yield Found(module, "_drop_connect_rate", DROP_PATH, rate, grip, note=BAKED)


def float_rate(module: nn.Module, attribute: str) -> float:
    """A rate attribute; None means 0 in timm and torchvision."""
    return float(getattr(module, attribute) or 0.0)
