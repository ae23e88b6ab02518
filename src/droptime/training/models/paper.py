"""The six models of the paper on timm: its sizes, its initial weights, its places of dropout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import timm
from timm.layers import trunc_normal_
from torch import nn


@dataclass(frozen=True, kw_only=True)
class PaperModel:
    """One model of *Dropout Reduces Underfitting* (Liu et al. 2023).

    Attributes:
        timm: the timm model it is built on.
        args: what timm must be told to build it.
        parameters: how many it has with 1000 classes.
        undecayed: how many of them weight decay spares.
        drops_elements: whether the paper trains it with dropout, not with stochastic depth alone.
    """

    timm: str
    args: Mapping[str, Any] = field(default_factory=dict)
    parameters: int
    undecayed: int
    drops_elements: bool = True


_SWIN_F: Mapping[str, Any] = {
    "embed_dim": 40,
    "depths": (2, 2, 6, 2),
    "num_heads": (2, 4, 8, 16),
    "drop_path_rate": 0.0,  # timm's Swin has 0.1 where nobody asks
}

PAPER_MODELS: Mapping[str, PaperModel] = {
    "vit_t16": PaperModel(timm="vit_tiny_patch16_224", parameters=5_717_416, undecayed=69_544),
    "mixer_s32": PaperModel(timm="mixer_s32_224", parameters=19_104_624, undecayed=41_840),
    "swin_f": PaperModel(
        timm="swin_tiny_patch4_window7_224", args=_SWIN_F, parameters=5_126_988, undecayed=43_468
    ),
    "convnext_f": PaperModel(
        timm="convnext_femto", parameters=5_217_784, undecayed=23_128, drops_elements=False
    ),
    "vit_b16": PaperModel(timm="vit_base_patch16_224", parameters=86_567_656, undecayed=275_176),
    "mixer_b16": PaperModel(timm="mixer_b16_224", parameters=59_880_472, undecayed=93_208),
}
"""Short name -> model: ViT-T/16, Mixer-S/32, Swin-F, ConvNeXt-F, ViT-B/16, Mixer-B/16."""


def make_paper_model(name: str, **args: Any) -> nn.Module:  # noqa: ANN401 - timm's arguments
    """Build a model of the paper, its weights drawn from torch's stream.

    Two things differ from timm's own. A ViT's class token begins truncated normal with deviation
    0.02 (timm: normal, 1e-6). A Swin has a dropout after its patch embedding; it stands where the
    first stage has its empty downsampling, so that names of weights are timm's.

    Every place where the paper drops then is a module at rate 0, and none of them is the head's:
    after the position embedding, on attention weights, after attention's projection, and twice in
    each MLP. The paper has one module for the two places of an MLP and timm has two: 49 for a ViT
    or a Swin, 32 or 48 for a Mixer, as many as the paper's masks in one forward.

    Args:
        name: a key of :data:`PAPER_MODELS`.
        args: more arguments for timm.create_model, such as num_classes or img_size.

    >>> model = make_paper_model("vit_t16", num_classes=1000)
    >>> sum(p.numel() for p in model.parameters())
    5717416
    """
    paper = PAPER_MODELS[name]
    model: nn.Module = timm.create_model(paper.timm, **{**paper.args, **args})
    if name.startswith("vit") and (token := getattr(model, "cls_token", None)) is not None:
        trunc_normal_(token, std=0.02)
    if name.startswith("swin"):
        first: Any = model.get_submodule("layers.0")
        first.downsample = nn.Dropout(0.0)
    return model
