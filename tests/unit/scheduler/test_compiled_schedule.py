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
from torch import nn

from benchmarks.compiled_kinds import KINDS
from droptime import Clock, DropScheduler, early
from tests.compiling import Compiled

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("dynamo")]

STEPS = 24
CLOCK = Clock(total_steps=STEPS + 4)
CURVE = early(0.6, until=f"{STEPS}st")


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own, while tracing
@pytest.mark.parametrize(
    ("name", "fullgraph"),
    [*((name, kind.fullgraph) for name, kind in KINDS.items()), ("nn.Dropout", False)],
)
def test_one_graph_on_one_off_one_eval(name: str, fullgraph: bool) -> None:
    kind = KINDS[name]
    model = kind.build().train()
    drop = DropScheduler(model, clock=CLOCK, **kind.drive(CURVE))
    compiled = Compiled(model, backend="inductor", fullgraph=fullgraph)
    x = torch.ones(kind.shape)
    for _ in range(STEPS + 3):
        rate = next(iter(drop.get_last_rates().values()))
        sigmas, scale = kind.errors(rate, compiled(x))
        assert sigmas <= 5, rate
        assert scale < 1e-5, rate
        drop.step()
    assert compiled.graphs <= 2  # 1 where the module does nothing but drop: no graph when off
    model.eval()
    assert kind.errors(0.0, compiled(x))[0] == 0
    assert compiled.graphs <= 3


@pytest.mark.parametrize("name", ["nn.Dropout", "F.dropout of a float", "fused attention"])
def test_the_rate_is_read_at_one_address(name: str) -> None:
    """What CUDA graphs need in order to read it in place, neither copied in nor recorded anew."""
    kind = KINDS[name]
    model = kind.build().train()
    drop = DropScheduler(model, clock=CLOCK, **kind.drive(CURVE))
    Compiled(model, backend="aot_eager", fullgraph=True)(torch.ones(kind.shape))
    rates: list[Any] = [module for module in model.modules() if hasattr(module, "stand_in")]
    addresses = [rate.rate.data_ptr() for rate in rates]
    drop.step()
    assert addresses == [rate.rate.data_ptr() for rate in rates]
    assert [rate.rate._dynamo_static_input_type for rate in rates] == ["unguarded"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need CUDA")
@pytest.mark.parametrize("name", ["nn.Dropout", "timm DropPath", "nn.MultiheadAttention"])
def test_cuda_graphs_follow_the_schedule(name: str) -> None:
    kind = KINDS[name]
    model = kind.build().train().cuda()
    drop = DropScheduler(model, clock=CLOCK, **kind.drive(CURVE))
    call = torch.compile(model, mode="reduce-overhead", fullgraph=True)
    x = torch.ones(kind.shape, device="cuda")
    for _ in range(STEPS + 3):
        rate = next(iter(drop.get_last_rates().values()))
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        sigmas, scale = kind.errors(rate, call(x))
        assert sigmas <= 5, rate
        assert scale < 1e-5, rate
        drop.step()


def test_patch_dropout_is_the_exception() -> None:
    """Its rate is a number of tokens, so each value is a shape, and compiles anew."""
    model = nn.Sequential(timm.layers.PatchDropout(0.5)).train()
    drop = DropScheduler(model, rates={"patch": CURVE}, clock=CLOCK)
    compiled = Compiled(model, backend="aot_eager", fullgraph=False)
    with torch._dynamo.config.patch(recompile_limit=8):  # torch's; timm.optim lifts it on import
        for _ in range(STEPS + 3):
            rate = drop.get_last_rates()["patch"]
            tokens = compiled(torch.ones(4, 65, 8)).shape[1]
            assert tokens == 1 + int(64 * (1 - rate))
            drop.step()
    assert compiled.graphs == 9  # the limit is reached; from then on it runs in eager


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
