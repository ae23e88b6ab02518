"""Activation checkpointing while a schedule runs: gradients follow the masks of the forward."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from benchmarks.compiled_kinds import Functional
from droptime import Clock, DropScheduler, early
from tests.compiling import Compiled

pytestmark = pytest.mark.usefixtures("dynamo")

CURVE, CLOCK = early(0.6, until="6st"), Clock(total_steps=10)
ROWS = 1024
"""So few that eager dropout has exactly the rate asked for, as compiled dropout has."""
REENTRANT = pytest.mark.parametrize("reentrant", [False, True])


class Region(nn.Module):
    """``sin(4 x)``, dropped three times, whose gradient needs the masks."""

    def __init__(self, *, held: bool) -> None:
        super().__init__()
        self.dropout, self.drop_path = nn.Dropout(), timm.layers.DropPath(0.5)
        self.last = Functional() if held else nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.drop_path(self.dropout(4 * x)).sin())
        return y


class Checkpointed(nn.Module):
    def __init__(self, region: nn.Module, *, reentrant: bool | None) -> None:
        super().__init__()
        self.region, self.reentrant = region, reentrant

    def forward(self, x: Tensor) -> Tensor:
        if self.reentrant is None:
            y: Tensor = self.region(x * 1)
        else:
            y = checkpoint(self.region, x * 1, use_reentrant=self.reentrant)
        return y


def _driven(model: nn.Module) -> DropScheduler:
    return DropScheduler(model, dropout=CURVE, drop_path=CURVE, clock=CLOCK)


@REENTRANT
def test_eager_gradients_are_those_without_checkpointing(reentrant: bool) -> None:
    region = nn.Sequential(nn.Linear(8, 8), Region(held=True), nn.Linear(8, 8))
    plain, saving = (
        Checkpointed(copy.deepcopy(region).train(), reentrant=way) for way in (None, reentrant)
    )
    drops = [_driven(model) for model in (plain, saving)]
    for _ in range(8):
        x = torch.randn(16, 8)
        gradients = []
        for model in (plain, saving):
            torch.manual_seed(1)
            leaf = x.clone().requires_grad_()
            model.zero_grad()
            model(leaf).square().sum().backward()
            gradients.append([leaf.grad, *(p.grad for p in model.parameters())])
        for a, b in zip(*gradients, strict=True):
            assert torch.equal(a, b)
        for drop in drops:
            drop.step()


@pytest.mark.slow
@REENTRANT
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_gradients_follow_the_masks_of_the_forward(
    backend: str, held: bool, reentrant: bool
) -> None:
    """A float in a tensor enters a mode while traced, which torch allows with that setting only."""
    model = Checkpointed(Region(held=held).train(), reentrant=reentrant)
    drop = _driven(model)
    compiled = Compiled(model, backend=backend, fullgraph=True)
    with torch._dynamo.config.patch(skip_fwd_side_effects_in_bwd_under_checkpoint=held):
        for _ in range(8):
            _check(compiled, drop.get_last_rates()["dropout"])
            drop.step()
    assert compiled.graphs == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own, while tracing
def test_without_that_setting_the_region_runs_in_eager() -> None:
    model = Checkpointed(Region(held=True).train(), reentrant=False)
    drop = _driven(model)
    compiled = Compiled(model, backend="aot_eager", fullgraph=False)
    for _ in range(8):
        _check(compiled, drop.get_last_rates()["dropout"])
        drop.step()
    assert compiled.graphs <= 2


def _check(model: Compiled, rate: float) -> None:
    """Forward and backward at a rate: the fraction kept, and the slope where it is kept."""
    scale, keep = 1 / (1 - rate), (1 - rate) ** 3
    x = torch.full((ROWS, 8), 0.05, requires_grad=True)
    y = model(x)
    y.sum().backward()
    kept = y != 0
    spread = (rate * (1 - rate) / ROWS) ** 0.5
    assert abs(kept.float().mean().item() - keep) <= 5 * spread
    slope = 4 * scale**3 * torch.cos(torch.tensor(4 * 0.05 * scale**2))
    torch.testing.assert_close(x.grad, torch.where(kept, slope, 0.0))


@pytest.mark.slow
@pytest.mark.parametrize("reentrant", [None, False])
def test_a_step_between_forward_and_backward_is_refused_when_compiled(
    reentrant: bool | None,
) -> None:
    model = Checkpointed(Region(held=False).train(), reentrant=reentrant)
    drop = _driven(model)
    y = Compiled(model, backend="aot_eager", fullgraph=True)(torch.ones(8, 8, requires_grad=True))
    drop.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
