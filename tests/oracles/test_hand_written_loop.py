"""A run with the scheduler equals, bit for bit, a loop that sets the rates by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from timm.layers import DropPath
from torch import Tensor, nn
from torch.distributed import destroy_process_group, init_process_group
from torch.nn.parallel import DistributedDataParallel
from torchvision.ops import StochasticDepth

from droptime import Clock, DropScheduler

STEPS, CUTOFF = 12, 8
CLOCK = Clock(total_steps=STEPS)

Rate = Callable[[int], float]


def _early(p: float) -> Rate:
    return lambda i: p * (1 - i / (CUTOFF - 1)) if i < CUTOFF else 0.0


def _late(p: float) -> Rate:
    return lambda i: 0.0 if i < CUTOFF else p


def _batches() -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    for _ in range(STEPS):
        x = torch.randn(8, 3, 32, 32, generator=generator)
        yield x, torch.randint(0, 5, (8,), generator=generator)


def _train(
    model: nn.Module, before: Callable[[int], None], after: Callable[[], None]
) -> dict[str, Tensor]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    torch.manual_seed(7)
    for step, (x, y) in enumerate(_batches()):
        before(step)
        optimizer.zero_grad()
        _step(model(x), y)
        optimizer.step()
        after()
    return {name: value.clone() for name, value in model.state_dict().items()}


def _step(logits: Tensor, y: Tensor) -> None:
    nn.functional.cross_entropy(logits, y).backward()  # type: ignore[no-untyped-call]


def _nothing(*_: object) -> None:
    pass


def _timm_vit(**rates: float) -> nn.Module:
    torch.manual_seed(1)
    model: nn.Module = timm.create_model(
        "vit_tiny_patch16_224",
        img_size=32,
        depth=3,
        embed_dim=32,
        num_heads=2,
        num_classes=5,
        **rates,
    )
    return model


def _timm_convnext(**rates: float) -> nn.Module:
    torch.manual_seed(1)
    model: nn.Module = timm.create_model(
        "convnext_atto", depths=(1, 1, 1, 1), dims=(8, 8, 8, 8), num_classes=5, **rates
    )
    return model


def _torchvision_vit() -> nn.Module:
    torch.manual_seed(1)
    model = torchvision.models.VisionTransformer(32, 16, 2, 2, 32, 64, num_classes=5)
    nn.init.normal_(model.heads.head.weight)
    return model  # type: ignore[no-any-return]


def _torchvision_swin() -> nn.Module:
    torch.manual_seed(1)
    model: nn.Module = torchvision.models.SwinTransformer(
        [4, 4], 16, [2, 2], [2, 2], [4, 4], stochastic_depth_prob=0.4, num_classes=5
    )
    return model


def _set_dropout(model: nn.Module, p: float) -> None:
    """The paper's dropout, by hand: every torch dropout but the head's, and attention floats."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout) and not name.startswith("head"):
            module.p = p
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = p


def _set_depth(model: nn.Module, d: float) -> None:
    """The paper's stochastic depth, by hand: d * l/(L-1) over the blocks of a built-in ramp."""
    paths = [m for m in model.modules() if isinstance(m, (DropPath, StochasticDepth))]
    built = [getattr(m, "built", None) or _rate(m) for m in paths]
    for module, rate in zip(paths, built, strict=True):
        module.built = rate
        setattr(module, "p" if isinstance(module, StochasticDepth) else "drop_prob", 0.0)
        share = rate / max(built)
        setattr(module, "p" if isinstance(module, StochasticDepth) else "drop_prob", d * share)


def _rate(module: nn.Module) -> float:
    return float(module.p if isinstance(module, StochasticDepth) else module.drop_prob)  # type: ignore[arg-type]


CASES: dict[str, tuple[Callable[[], nn.Module], dict[str, str], Callable[[nn.Module, int], None]]]
CASES = {
    "timm ViT, early dropout": (
        _timm_vit,
        {"dropout": f"early(0.4, until={CUTOFF}st)"},
        lambda model, i: _set_dropout(model, _early(0.4)(i)),
    ),
    "timm ViT, late stochastic depth": (
        lambda: _timm_vit(drop_path_rate=0.2),
        {"drop_path": f"late(0.5, since={CUTOFF}st)"},
        lambda model, i: _set_depth(model, _late(0.5)(i)),
    ),
    "timm ConvNeXt, early stochastic depth": (
        lambda: _timm_convnext(drop_path_rate=0.2),
        {"drop_path": f"early(0.5, until={CUTOFF}st)"},
        lambda model, i: _set_depth(model, _early(0.5)(i)),
    ),
    "torchvision ViT, early dropout": (
        _torchvision_vit,
        {"dropout": f"early(0.4, until={CUTOFF}st)"},
        lambda model, i: _set_dropout(model, _early(0.4)(i)),
    ),
    "torchvision Swin, early stochastic depth": (
        _torchvision_swin,
        {"drop_path": f"early(0.5, until={CUTOFF}st)"},
        lambda model, i: _set_depth(model, _early(0.5)(i)),
    ),
}


def _equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@pytest.mark.parametrize("name", CASES)
def test_scheduler_equals_hand_written_loop(name: str) -> None:
    build, curves, by_hand = CASES[name]
    ours, theirs = build(), build()
    _equal(ours.state_dict(), theirs.state_dict())
    drop = DropScheduler(ours, clock=CLOCK, **curves)  # type: ignore[arg-type]
    driven = _train(ours, _nothing, drop.step)
    handmade = _train(theirs, lambda step: by_hand(theirs, step), _nothing)
    plain = _train(build(), _nothing, _nothing)
    _equal(driven, handmade)
    assert any(not torch.equal(driven[key], plain[key]) for key in driven), "nothing dropped"


def test_opened_placeholders_equal_a_model_built_with_the_papers_ramp() -> None:
    ours, theirs = _timm_vit(), _timm_vit(drop_path_rate=0.5)
    drop = DropScheduler(ours, drop_path=f"late(0.5, since={CUTOFF}st)", clock=CLOCK)
    driven = _train(ours, _nothing, drop.step)
    handmade = _train(theirs, lambda step: _set_depth(theirs, _late(0.5)(step)), _nothing)
    _equal(driven, handmade)


def test_resumed_run_equals_uninterrupted_run() -> None:
    curve = f"early(0.4, until={CUTOFF}st)"
    whole, cut = _timm_vit(), _timm_vit()
    drop = DropScheduler(whole, dropout=curve, clock=CLOCK)
    expected = _train(whole, _nothing, drop.step)

    torch.manual_seed(7)
    optimizer = torch.optim.AdamW(cut.parameters(), lr=1e-3)
    drop = DropScheduler(cut, dropout=curve, clock=CLOCK)
    for step, (x, y) in enumerate(_batches()):
        if step == 5:  # start again from what a checkpoint would hold
            state = copy.deepcopy((cut.state_dict(), optimizer.state_dict(), drop.state_dict()))
            random = torch.get_rng_state()
            cut = _timm_vit()
            cut.load_state_dict(state[0])
            optimizer = torch.optim.AdamW(cut.parameters(), lr=1e-3)
            optimizer.load_state_dict(state[1])
            drop = DropScheduler(cut, dropout=curve, clock=CLOCK)
            drop.load_state_dict(state[2])
            torch.set_rng_state(random)
        optimizer.zero_grad()
        _step(cut(x), y)
        optimizer.step()
        drop.step()
    _equal(expected, cut.state_dict())


@contextmanager
def _one_process_group(store: Path) -> Iterator[None]:
    init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield
    destroy_process_group()


def test_ddp_wrapped_equals_unwrapped(tmp_path: Path) -> None:
    curve = f"early(0.4, until={CUTOFF}st)"
    plain, wrapped = _timm_vit(), _timm_vit()
    drop = DropScheduler(plain, dropout=curve, clock=CLOCK)
    expected = _train(plain, _nothing, drop.step)
    with _one_process_group(tmp_path / "store"):
        ddp = DistributedDataParallel(wrapped)
        drop = DropScheduler(ddp, dropout=curve, clock=CLOCK)
        driven = _train(ddp, _nothing, drop.step)
    _equal(expected, {name.removeprefix("module."): value for name, value in driven.items()})
