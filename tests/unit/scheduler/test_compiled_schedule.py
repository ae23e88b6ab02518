"""Under torch.compile a whole schedule makes one graph while on and one when off, and drops right.

Inductor with torch's default caches runs where its float bug lived (a float rate that stays stale);
``aot_eager`` counts graphs elsewhere, since graphs are made before the backend runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from droptime import Clock, DropScheduler, early
from tests.compiling import Compiled

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("dynamo")]

STEPS = 24
CLOCK = Clock(total_steps=STEPS + 4)
CURVE = early(0.6, until=f"{STEPS}st")


class Dense(nn.Module):
    """A functional dropout of a float attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.drop_rate = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if self.drop_rate > 0.0:
            x = F.dropout(x, p=float(self.drop_rate), training=self.training)
        return x


class Weights(nn.Module):
    """The attention weights themselves, so that what is dropped can be counted."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.attention(x, x, x, average_attn_weights=False)[1]
        return weights * x.shape[1]


class Branch(nn.Module):
    """A residual branch whose drop path is a placeholder, as timm builds it at rate 0."""

    def __init__(self) -> None:
        super().__init__()
        self.drop_path = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.drop_path(x)  # type: ignore[no-any-return]


MODELS: dict[str, tuple[Callable[[], nn.Module], str, tuple[int, ...], int]] = {
    # name: model, argument that drives it, input shape, independent draws in a forward
    "nn.Dropout": (lambda: nn.Sequential(nn.Dropout(0.0)), "dropout", (64, 512), 64 * 512),
    "nn.Dropout2d": (lambda: nn.Sequential(nn.Dropout2d(0.0)), "dropout", (64, 64, 3, 3), 64 * 64),
    "functional": (Dense, "dropout", (64, 512), 64 * 512),
    "MultiheadAttention": (Weights, "dropout", (16, 32, 16), 16 * 2 * 32 * 32),
    "drop path": (Branch, "drop_path", (8192, 2, 2), 8192),
}


@pytest.mark.parametrize("fullgraph", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_one_graph_on_one_off_one_eval(name: str, fullgraph: bool) -> None:
    build, argument, shape, draws = MODELS[name]
    model = build().train()
    selector: dict[str, Any] = (
        {"rates": {"head": CURVE}} if name == "functional" else {argument: CURVE}
    )
    drop = DropScheduler(model, clock=CLOCK, **selector)
    compiled = Compiled(model, backend="inductor", fullgraph=fullgraph)
    x = torch.ones(shape)
    full = model.eval()(x)
    model.train()
    for _ in range(STEPS + 3):
        rate = next(iter(drop.get_last_rates().values()))
        y = compiled(x)
        kept = y != 0
        spread = (rate * (1 - rate) / draws) ** 0.5
        assert abs(kept.float().mean().item() - (1 - rate)) <= 5 * spread, rate
        torch.testing.assert_close(y[kept], (full / (1 - rate))[kept])
        drop.step()
    assert compiled.graphs <= 2  # 1 where the module does nothing but drop: no graph when off
    model.eval()
    torch.testing.assert_close(compiled(x), full)
    assert compiled.graphs <= 3


def _vit() -> nn.Module:
    model: nn.Module = timm.create_model(
        "vit_tiny_patch16_224",
        img_size=32,
        depth=2,
        embed_dim=32,
        num_heads=2,
        num_classes=4,
    )
    return model


def _torchvision_vit() -> nn.Module:
    model = torchvision.models.VisionTransformer(32, 16, 2, 2, 32, 64, num_classes=4)
    nn.init.normal_(model.heads.head.weight)  # built as zeros, which would hide every difference
    return model  # type: ignore[no-any-return]


def _torchvision_swin() -> nn.Module:
    model: nn.Module = torchvision.models.SwinTransformer([4, 4], 16, [2], [2], [4, 4])
    return model


REAL: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "timm ViT": (_vit, ("dropout", "drop_path")),
    "torchvision ViT": (_torchvision_vit, ("dropout",)),
    "torchvision Swin": (_torchvision_swin, ("dropout", "drop_path")),
}


@pytest.mark.parametrize("name", REAL)
def test_real_models_train_through_a_schedule_in_two_graphs(name: str) -> None:
    build, arguments = REAL[name]
    model = build().train()
    drop = DropScheduler(model, clock=CLOCK, **dict.fromkeys(arguments, CURVE))  # type: ignore[arg-type]
    compiled = Compiled(model, backend="aot_eager", fullgraph=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    x = torch.randn(4, 3, 32, 32)
    for _ in range(STEPS + 3):
        first, second = compiled(x), compiled(x)
        assert torch.equal(first, second) == (not any(drop.get_last_rates().values()))
        first.square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        drop.step()
    assert compiled.graphs == 2


def test_attaching_to_a_model_that_has_run_compiled() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.Dropout(0.0))
    compiled = Compiled(model, backend="aot_eager", fullgraph=True)
    x = torch.randn(64, 64)
    assert (compiled(x) != 0).all()
    wrapped: Any = torch.compile(model)
    drop = DropScheduler(wrapped, dropout=CURVE, clock=CLOCK)
    assert abs((compiled(x) == 0).float().mean().item() - 0.6) < 0.05
    drop.close()
    assert (compiled(x) != 0).all()


def test_the_stock_layers_recompile_for_each_rate() -> None:
    """What the layers are for: the same schedule set on nn.Dropout by hand."""
    model = nn.Sequential(nn.Dropout(0.0))
    compiled = Compiled(model, backend="aot_eager", fullgraph=False)
    for step in range(6):
        model[0].p = 0.5 - step / 20  # type: ignore[assignment]
        compiled(torch.ones(8))
    assert compiled.graphs >= 6
