"""Rates that may change every step, in eager and under torch.compile.

:class:`Dropout` and :class:`DropPath` are layers to build models with; :class:`SkipPath` is a drop
path whose branch is not computed where it is dropped. :func:`hold_float` and :func:`capture` do the
same as the layers for modules that pass a Python float to a dropout function.
"""

from droptime.layers.drop_path import DropPath
from droptime.layers.dropout import Dropout
from droptime.layers.floats import (
    HeldRate,
    TracedForward,
    capture,
    held_floats,
    hold_float,
    release,
    release_float,
)
from droptime.layers.forwards import residual_drop, timm_drop_block, torchvision_drop_block
from droptime.layers.layer_drop import LayerRate
from droptime.layers.narrow import narrow_dropout
from droptime.layers.rate import TensorRate, checked_rate
from droptime.layers.skip import SkipPath
from droptime.layers.views import hold_config, release_config

__all__ = [
    "DropPath",
    "Dropout",
    "HeldRate",
    "LayerRate",
    "SkipPath",
    "TensorRate",
    "TracedForward",
    "capture",
    "checked_rate",
    "held_floats",
    "hold_config",
    "hold_float",
    "narrow_dropout",
    "release",
    "release_config",
    "release_float",
    "residual_drop",
    "timm_drop_block",
    "torchvision_drop_block",
]
