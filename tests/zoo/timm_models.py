"""Every family of timm: one small member each, built small; all entrypoints on the meta device."""

from __future__ import annotations

import functools
import re
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo import census
from tests.zoo.census import Counted
from tests.zoo.specimen import Specimen

RAISED = 0.2

ARGUMENTS = (
    "drop_rate",
    "drop_path_rate",
    "attn_drop_rate",
    "proj_drop_rate",
    "pos_drop_rate",
    "patch_drop_rate",
    "drop_block_rate",
)
"""Every name under which models of timm take a rate."""

MEMBERS = {"efficientnet": "mobilenetv2_035"}
"""Families whose smallest member is no good example: it has no residual branch that could drop."""

SIDE = 64
"""Images are this wide, where a family runs on such small ones."""

SIDES = {
    "byoanet": 256,
    "deepseek_vit": 56,
    "efficientformer": 224,
    "inception_resnet_v2": 96,
    "inception_v3": 96,
    "inception_v4": 96,
}

SMALLER: dict[str, dict[str, Any]] = {
    "beit": {"depth": 2, "embed_dim": 96, "num_heads": 3},
    "cait": {"depth": 3},
    "coat": {"serial_depths": (1, 1, 1, 1), "parallel_depth": 1},
    "crossvit": {"depth": ((1, 1, 0),), "img_size": None},
    "davit": {"depths": (1, 1, 1, 1)},
    "deepseek_vit": {"depth": 2, "embed_dim": 128, "num_heads": 2},
    "efficientformer": {"depths": (1, 1, 1, 2)},
    "eva": {"depth": 3},
    "gemma4_vit": {"depth": 2, "embed_dim": 128, "num_heads": 2},
    "hiera": {"stages": (1, 1, 2, 1)},
    "hieradet_sam2": {"stages": (1, 1, 2, 1)},
    "mobilenetv5": {"channel_multiplier": 0.25},
    "naflexvit": {"depth": 2, "embed_dim": 96, "num_heads": 3},
    "qwen3_vit": {"depth": 2, "embed_dim": 128, "num_heads": 2},
    "res2net": {"layers": (1, 1, 2, 1)},
    "sequencer": {"layers": (1, 1, 2, 1)},
    "swin_transformer": {"depths": (1, 1, 2, 1)},
    "swin_transformer_v2": {"depths": (1, 1, 2, 1)},
    "swin_transformer_v2_cr": {"depths": (1, 1, 2, 1)},
    "tiny_vit": {"depths": (1, 1, 2, 1)},
    "tnt": {"depth": 2},
    "twins": {"depths": (1, 1, 2, 1)},
    "vision_transformer_sam": {"depth": 2, "embed_dim": 96, "num_heads": 3},
    "visformer": {"depth": (1, 2, 2)},
    "vitamin": {"depth": 2},
    "xcit": {"depth": 2},
}
"""Arguments that make the smallest member of a family smaller still: shallower or narrower."""


def families() -> dict[str, list[str]]:
    """The entrypoints of each model file."""
    import timm

    return {family: timm.list_models(module=family) for family in sorted(timm.list_modules())}


def specimen(family: str, name: str) -> Specimen:
    """One member of a family, small."""
    side = SIDES.get(family, SIDE)
    settings = SMALLER.get(family, {})
    build = functools.partial(_build, name, side=side, **settings)
    return Specimen("timm", family, name, build, functools.partial(_images, side=side))


def counted(family: str, name: str) -> Counted:
    """Any member, with its rates up, on the meta device."""
    return census.counted("timm", family, name, functools.partial(_create, name, RAISED))


def _build(name: str, raised: bool, *, side: int, **settings: Any) -> nn.Module:
    return _create(name, RAISED if raised else 0.0, **{"img_size": side} | settings)


def _create(name: str, rate: float, **settings: Any) -> nn.Module:
    """Build a model with every rate that its constructor takes; what it refuses is left out."""
    import timm

    arguments = dict.fromkeys(ARGUMENTS, rate) | settings
    while True:
        try:
            model: nn.Module = timm.create_model(name, **arguments)
        except TypeError as error:
            refused = {*re.findall(r"'(\w+)'", str(error))} & {*ARGUMENTS, "img_size"}
            if not refused & arguments.keys():
                raise
            for argument in refused:
                arguments.pop(argument, None)
        else:
            return model


def _images(model: nn.Module, *, side: int) -> Tensor:
    description: Any = model.default_cfg
    channels = description["input_size"][0]
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))
