"""Skipped branches against the masked form: timm's and torchvision's own drop path, same masks.

On the CPU a skipping model draws from torch's generator what the masked one draws, in the same
order, so one seed gives both the same masks, and the slow obvious twin is the model itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import timm
import torch
import torchvision
import transformers
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision.models.convnext import CNBlockConfig

from droptime import DropScheduler
from droptime.layers import DropPath, SkipPath

RATE = 0.625
SIZE = {"img_size": 32, "drop_path_rate": RATE}


def _timm(name: str, **settings: object) -> nn.Module:
    model: nn.Module = timm.create_model(name, num_classes=5, **settings)
    return model


def _torchvision_convnext() -> nn.Module:
    settings = [CNBlockConfig(8, 16, 2), CNBlockConfig(16, None, 2)]
    model: nn.Module = torchvision.models.ConvNeXt(
        settings, stochastic_depth_prob=RATE, layer_scale=0.5, num_classes=5
    )
    return model


def _torchvision_swin(block: str) -> nn.Module:
    parts = torchvision.models.swin_transformer
    v2 = {"block": parts.SwinTransformerBlockV2, "downsample_layer": parts.PatchMergingV2}
    model: nn.Module = torchvision.models.SwinTransformer(
        [2, 2],
        16,
        [2, 2],
        [2, 2],
        [4, 4],
        stochastic_depth_prob=RATE,
        num_classes=5,
        **(v2 if block == "v2" else {}),
    )
    return model


class _Classifier(nn.Module):
    """A vision model of transformers, its features averaged: scores of 5 classes."""

    def __init__(self, name: str, **settings: object) -> None:
        super().__init__()
        config = getattr(transformers, f"{name}Config")(drop_path_rate=RATE, **settings)
        self.model = getattr(transformers, f"{name}Model")(config)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.model(pixel_values=x).last_hidden_state
        return torch.stack([part.mean(1) for part in features.flatten(1).chunk(5, 1)], 1)


HIDDEN = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "patch_size": 8}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
ONE_HEAD = {"num_attention_heads": [1, 1, 1, 1]}
VIT = {"patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 2}
SWIN = {"patch_size": 2, "window_size": 4, "depths": (2, 2), "num_heads": (2, 2), "embed_dim": 16}
TINY: dict[str, Callable[[], nn.Module]] = {
    "timm ViT": lambda: _timm("vit_tiny_patch16_224", **SIZE, **VIT),
    "timm ViT, parallel": lambda: _timm("vit_small_patch16_18x2_224", **SIZE, **VIT),
    "timm DeiT III": lambda: _timm("deit3_small_patch16_224", **SIZE, **VIT),
    "timm BEiT": lambda: _timm("beit_base_patch16_224", **SIZE, **VIT),
    "timm EVA": lambda: _timm("eva02_tiny_patch14_224", **SIZE, **VIT),
    "timm Swin": lambda: _timm("swin_tiny_patch4_window7_224", **SIZE, **SWIN),
    "timm SwinV2": lambda: _timm("swinv2_tiny_window8_256", **SIZE, **SWIN),
    "timm ConvNeXt": lambda: _timm(
        "convnext_femto", depths=(1, 1, 2, 1), dims=(4, 8, 8, 16), drop_path_rate=RATE
    ),
    "timm Mixer": lambda: _timm("mixer_s32_224", **SIZE),
    "timm ResMLP": lambda: _timm("resmlp_12_224", **SIZE),
    "timm CaiT": lambda: _timm("cait_xxs24_224", **SIZE, depth=3, embed_dim=32, num_heads=2),
    "torchvision Swin": lambda: _torchvision_swin("v1"),
    "torchvision SwinV2": lambda: _torchvision_swin("v2"),
    "torchvision ConvNeXt": _torchvision_convnext,
}
TRANSFORMERS: dict[str, Callable[[], nn.Module]] = {
    "BEiT": lambda: _Classifier("Beit", image_size=32, intermediate_size=64, **HIDDEN),
    "DINOv2": lambda: _Classifier("Dinov2", image_size=32, **HIDDEN),
    "DINOv3": lambda: _Classifier("DINOv3ViT", image_size=32, intermediate_size=64, **HIDDEN),
    "ConvNeXt": lambda: _Classifier("ConvNextV2", **STAGES),
    "SegFormer": lambda: _Classifier("Segformer", **STAGES, **ONE_HEAD),
    "PVT": lambda: _Classifier("PvtV2", image_size=32, **STAGES, **ONE_HEAD),
}
SOME_MASKED = {"timm SwinV2"}
"""Models some of whose branches are not skipped: windows are made before their first module."""


def _pass(model: nn.Module, x: Tensor, seed: int) -> list[Tensor]:
    """Output, all gradients as one vector, and where the generator stands afterwards."""
    torch.manual_seed(seed)
    model.zero_grad(set_to_none=True)
    x = x.clone().requires_grad_()
    y = model(x)
    loss = F.cross_entropy(y, torch.arange(len(x)) % y.shape[1])
    torch.autograd.backward(loss)
    gradients = [x.grad, *(parameter.grad for parameter in model.parameters())]
    flat = torch.cat([g.flatten() for g in gradients if g is not None])
    return [y.detach(), flat, torch.get_rng_state()]


def _scatter(model: nn.Module) -> None:
    """Give every parameter values that matter: layer scales start near 0 and heads at 0."""
    for parameter in model.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
        nn.init.normal_(parameter, std=(2 * max(fan_in, 1)) ** -0.5)


def _gap(theirs: Tensor, ours: Tensor) -> float:
    return float((theirs - ours).norm() / theirs.norm())


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("name", TINY)
def test_skipping_gives_what_masking_gives(name: str, memory: torch.memory_format) -> None:
    torch.manual_seed(0)
    masked = TINY[name]().train()
    _scatter(masked)
    skipping = copy.deepcopy(masked)
    drop = DropScheduler(skipping, drop_path=f"standard({RATE})", skip=True)
    notes = {row.why.split(":")[0].split(" ")[0] for row in drop.plan.driven("drop_path")}
    assert notes - {"rate"} == ({"skipped", "masked"} if name in SOME_MASKED else {"skipped"})

    x = torch.randn(5, 3, 32, 32).to(memory_format=memory)
    for seed in range(4):
        theirs, ours = _pass(masked, x, seed), _pass(skipping, x, seed)
        assert _gap(theirs[0], ours[0]) <= 5e-7
        assert _gap(theirs[1], ours[1]) <= 5e-7
        assert torch.equal(theirs[2], ours[2])

    exact, skipping = masked.double(), skipping.double()
    theirs, ours = _pass(exact, x.double(), 9), _pass(skipping, x.double(), 9)
    # in double precision nothing is left of the rounding of float32
    assert _gap(theirs[0], ours[0]) <= 1e-14
    assert _gap(theirs[1], ours[1]) <= 1e-13


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_skipping_in_transformers_gives_what_masking_gives(name: str) -> None:
    """Their drop path draws floats of its own; the masked twin has ours in its place."""
    torch.manual_seed(0)
    masked = TRANSFORMERS[name]().train().double()
    _scatter(masked)
    skipping = copy.deepcopy(masked)
    DropScheduler(masked, drop_path=f"standard({RATE})")
    drop = DropScheduler(skipping, drop_path=f"standard({RATE})", skip=True)
    notes = {row.why.split(" ")[0] for row in drop.plan.driven("drop_path")}
    assert notes - {"rate"} == {"skipped"}
    x = torch.randn(5, 3, 32, 32, dtype=torch.float64)
    for seed in range(4):
        theirs, ours = _pass(masked, x, seed), _pass(skipping, x, seed)
        assert _gap(theirs[0], ours[0]) <= 1e-14
        assert _gap(theirs[1], ours[1]) <= 1e-13
        assert torch.equal(theirs[2], ours[2])


def test_what_is_not_kept_is_not_computed() -> None:
    """Rows that a module in the branch saw, against the masks: no more than were kept."""
    model = TINY["timm ViT"]().train()
    DropScheduler(model, drop_path=f"standard({RATE})", skip=True)
    block = model.get_submodule("blocks.2")
    seen: list[int] = []
    block.get_submodule("mlp.fc1").register_forward_hook(
        lambda module, args, output: seen.append(len(output))
    )
    kept: list[int] = []
    block.get_submodule("drop_path2").register_forward_hook(
        lambda module, args, output: kept.append(int((output.flatten(1) != 0).any(1).sum()))
    )
    x = torch.randn(8, 3, 32, 32)
    for _ in range(40):
        model(x)
    assert seen == [max(1, count) for count in kept]
    assert 8 * (1 - RATE) - 1 < sum(seen) / len(seen) < 8 * (1 - RATE) + 1


@pytest.mark.parametrize("fixed", [False, True])
def test_one_branch_by_hand(fixed: bool) -> None:
    """A skipped branch, row by row: the kept ones scaled, the others 0."""
    inner = nn.Linear(3, 3)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.drop_path = inner, DropPath(0.5)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.drop_path(self.inner(x))  # type: ignore[no-any-return]

    block = nn.Sequential(Block())
    DropScheduler(block, drop_path="standard(0.5)", skip="fixed" if fixed else True)
    path = block.get_submodule("0.drop_path")
    assert isinstance(path, SkipPath)
    x = torch.randn(6, 3)
    for _ in range(20):
        state = torch.get_rng_state()
        y = block(x)
        torch.set_rng_state(state)
        kept = path.choose(x)
        rows = range(6) if kept.rows is None else kept.rows.tolist()
        expected = torch.stack(
            [
                x[i] + (kept.scale * F.linear(x[i], inner.weight, inner.bias) if i in rows else 0)
                for i in range(6)
            ]
        )
        torch.testing.assert_close(y, expected)
