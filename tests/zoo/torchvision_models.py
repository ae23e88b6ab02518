"""Every family of torchvision: one small member each; all models on the meta device."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo import census
from tests.zoo.census import Counted
from tests.zoo.specimen import Specimen

RAISED = 0.2

ARGUMENTS = (
    "dropout",
    "dropout_aux",
    "attention_dropout",
    "mlp_dropout",
    "stochastic_depth_prob",
    "drop_rate",
)
"""Every name under which models of torchvision take a rate."""

MEMBERS: dict[str, str] = {}

_BARE = {"weights": None, "weights_backbone": None}
"""No weights are ever asked for."""


def families() -> dict[str, list[str]]:
    """The models of each module below ``torchvision.models``, in torchvision's order."""
    from torchvision import models

    found: dict[str, list[str]] = {}
    for name in models.list_models():
        module = models.get_model_builder(name).__module__
        found.setdefault(module.removeprefix("torchvision.models."), []).append(name)
    return dict(sorted(found.items()))


def specimen(family: str, name: str) -> Specimen:
    """One member of a family, small."""
    build = functools.partial(_build, family, name)
    return Specimen("torchvision", family, name, build, functools.partial(_example, family))


def counted(family: str, name: str) -> Counted:
    """Any member, with its rates up, on the meta device."""
    return census.counted("torchvision", family, name, functools.partial(_create, name, RAISED))


def _build(family: str, name: str, raised: bool) -> nn.Module:
    rate = RAISED if raised else 0.0
    if family in _BY_CLASS:
        return _BY_CLASS[family](rate)
    small = {"min_size": 64, "max_size": 64} if family in _RESIZING else {}
    return _create(name, rate, **small)


def _create(name: str, rate: float, **settings: Any) -> nn.Module:
    """Build a model with every rate that its entrypoint takes; what it refuses is left out."""
    from torchvision import models

    arguments = dict.fromkeys(ARGUMENTS, rate) | _BARE | settings
    while True:
        try:
            model: nn.Module = models.get_model(name, **arguments)
        except TypeError as error:
            refused = {*re.findall(r"'(\w+)'", str(error))} & {*ARGUMENTS, *_BARE}
            if not refused & arguments.keys():
                raise
            for argument in refused:
                arguments.pop(argument, None)
        else:
            return model


def _swin(rate: float) -> Any:
    from torchvision import models

    return models.SwinTransformer(
        patch_size=[4, 4],
        embed_dim=24,
        depths=[1, 1, 2, 1],
        num_heads=[1, 2, 3, 4],
        window_size=[4, 4],
        **_three(rate),
    )


def _swin3d(rate: float) -> Any:
    from torchvision import models

    return models.video.SwinTransformer3d(
        patch_size=[2, 4, 4],
        embed_dim=24,
        depths=[1, 1, 2, 1],
        num_heads=[1, 2, 3, 4],
        window_size=[2, 4, 4],
        **_three(rate),
    )


def _maxvit(rate: float) -> Any:
    from torchvision import models

    return models.MaxVit(
        input_size=(64, 64),
        stem_channels=16,
        partition_size=2,
        block_channels=[16, 32],
        block_layers=[1, 2],
        head_dim=8,
        stochastic_depth_prob=rate,
        mlp_dropout=rate,
        attention_dropout=rate,
    )


def _vit(rate: float) -> Any:
    from torchvision import models

    return models.VisionTransformer(
        image_size=64,
        patch_size=16,
        num_layers=2,
        num_heads=2,
        hidden_dim=32,
        mlp_dim=64,
        dropout=rate,
        attention_dropout=rate,
    )


def _mvit(rate: float) -> Any:
    from torchvision.models.video import MViT
    from torchvision.models.video.mvit import MSBlockConfig

    block = functools.partial(MSBlockConfig, kernel_q=[3, 3, 3], kernel_kv=[3, 3, 3])
    return MViT(
        spatial_size=(32, 32),
        temporal_size=4,
        block_setting=[
            block(1, 16, 32, stride_q=[1, 1, 1], stride_kv=[1, 2, 2]),
            block(2, 32, 32, stride_q=[1, 2, 2], stride_kv=[1, 1, 1]),
            block(2, 32, 32, stride_q=[1, 1, 1], stride_kv=[1, 1, 1]),
        ],
        residual_pool=False,
        residual_with_cls_embed=False,
        rel_pos_embed=False,
        proj_after_attn=False,
        **_three(rate),
    )


def _three(rate: float) -> dict[str, float]:
    return dict.fromkeys(("dropout", "attention_dropout", "stochastic_depth_prob"), rate)


_BY_CLASS: dict[str, Callable[[float], nn.Module]] = {
    "swin_transformer": _swin,
    "video.swin_transformer": _swin3d,
    "maxvit": _maxvit,
    "vision_transformer": _vit,
    "video.mvit": _mvit,
}
"""Families whose entrypoints fix a rate or are large: built from their class, a few blocks deep."""

_RESIZING = (
    "detection.faster_rcnn",
    "detection.fcos",
    "detection.keypoint_rcnn",
    "detection.mask_rcnn",
    "detection.retinanet",
)
"""Detectors that bring images to a size of their own."""

_SHAPES = {
    "inception": (3, 299, 299),
    "quantization.inception": (3, 299, 299),
    "video.mvit": (3, 4, 32, 32),
    "video.resnet": (3, 4, 32, 32),
    "video.s3d": (3, 14, 224, 224),
    "video.swin_transformer": (3, 4, 64, 64),
}


def _example(family: str, model: nn.Module) -> object:
    if family.startswith("detection."):
        return _scenes()
    if family == "optical_flow.raft":
        return _noise(2, 3, 128, 128), _noise(2, 3, 128, 128)
    return _noise(2, *_SHAPES.get(family, (3, 64, 64)))


def _noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def _scenes() -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Two images, each with one object."""
    images = list(_noise(2, 3, 64, 64))
    target = {
        "boxes": torch.tensor([[8.0, 8.0, 48.0, 56.0]]),
        "labels": torch.tensor([1]),
        "masks": torch.ones(1, 64, 64, dtype=torch.uint8),
        "keypoints": torch.tensor([[[16.0, 16.0, 1.0]] * 17]),
    }
    return images, [target, dict(target)]
