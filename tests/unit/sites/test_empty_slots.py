"""Where a layer would be but None is, as in timm's ResNets built at rate 0."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from droptime import DropScheduler, find_sites, standard, verify
from droptime.errors import SiteError

X = torch.linspace(-1, 1, 12).view(3, 4)


class Block(nn.Module):
    """A residual block whose layers may be None."""

    drop_path: Any
    drop_path2: Any
    attn_drop: Any
    patch_drop: Any
    proj_drop: Any
    dropped: Any

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.drop_path = None
        self.drop_path2 = None  # called without asking: its branch is not there at all
        self.attn_drop = None
        self.patch_drop = None
        self.dropped = None  # asked for, but it names no layer
        self.register_module("proj_drop", None)

    def forward(self, x: Tensor) -> Any:
        y = self.linear(x)
        if self.drop_path is not None:
            y = self.drop_path(y)
        if self.dropped is not None:
            return y
        return x + self.inner(y)

    def inner(self, y: Any) -> Any:
        y = self.attn_drop(y) if self.attn_drop is not None else y
        if self.proj_drop is None:
            return y
        return self.proj_drop(y) if self.patch_drop is None else y + self.drop_path2(y)


def test_a_slot_that_forward_asks_for_is_a_closed_site() -> None:
    found = {site.name: (site.kind, site.state) for site in find_sites(nn.Sequential(Block()))}
    assert found == {
        "0.attn_drop.p": ("attention", "closed"),
        "0.drop_path.drop_prob": ("drop_path", "closed"),
        "0.patch_drop.patch_drop": ("patch", "sealed"),
        "0.proj_drop.p": ("element", "closed"),
    }


def test_finding_changes_nothing() -> None:
    block = Block()
    before = dict(vars(block)), dict(block._modules)
    find_sites(block)
    assert (dict(vars(block)), dict(block._modules)) == before


def test_a_scheduler_fills_it_and_makes_it_none_again() -> None:
    model = nn.Sequential(Block(), Block())
    before = [(dict(vars(block)), dict(block._modules)) for block in model]
    keys, sites = list(model.state_dict()), find_sites(model)
    drop = DropScheduler(model, dropout=standard(0.25), drop_path=standard(0.5))
    driven = {site.name: site.rate for site in find_sites(model)}
    assert driven["1.drop_path.drop_prob"] == 0.5
    assert driven["0.attn_drop.p"] == driven["1.proj_drop.p"] == 0.25
    assert driven.keys() == {site.name for site in sites}
    assert list(model.state_dict()) == keys
    assert all(module.training for module in model.modules())
    with pytest.raises(SiteError, match="already driven"):
        DropScheduler(model, drop_path=standard(0.1))
    drop.close()
    assert [(dict(vars(block)), dict(block._modules)) for block in model] == before
    assert find_sites(model) == sites


def test_a_filled_slot_acts() -> None:
    verdicts = {proof.site.name: proof.verdict for proof in verify(Block(), X).proofs}
    assert verdicts == {
        "attn_drop.p": "acts",
        "drop_path.drop_prob": "acts",
        "patch_drop.patch_drop": "sealed",
        "proj_drop.p": "acts",
    }


def test_a_slot_has_no_branch_to_skip() -> None:
    with pytest.raises(SiteError, match="nothing stands there"):
        DropScheduler(nn.Sequential(Block(), Block()), drop_path=standard(0.5), skip=True)


def test_a_copy_of_a_driven_model_has_the_same_sites() -> None:
    model = nn.Sequential(Block(), Block())
    drop = DropScheduler(model, drop_path=standard(0.5))
    copied = {site.name: site.rate for site in find_sites(copy.deepcopy(model))}
    drop.close()
    assert copied["1.drop_path.drop_prob"] == 0.5


def test_a_resnet_built_at_rate_0_gets_stochastic_depth() -> None:
    model = timm.create_model("test_resnet", zero_init_last=False)
    drop = DropScheduler(model, drop_path=standard(0.6))
    rates = [s.rate for s in find_sites(model) if s.kind == "drop_path"]
    assert rates == pytest.approx([0.0, 0.2, 0.4, 0.6])
    x = torch.randn(2, 3, 32, 32)
    outputs = {model(x).sum().item() for _ in range(8)}
    assert len(outputs) > 1
    drop.close()
    assert model(x).sum().item() == model(x).sum().item()


class TwoFloats(nn.Module):
    """Two rates in one module, in an order that is not the alphabet's."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.attn_drop = 0.1, 0.2

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.dropout(x, self.drop, self.training)
        return nn.functional.dropout(x, self.attn_drop, self.training)


def test_the_order_of_sites_outlives_a_scheduler() -> None:
    model = nn.Sequential(TwoFloats())
    sites = find_sites(model)
    drop = DropScheduler(model, dropout=standard(0.3))
    state = drop.state_dict()
    assert [site.name for site in find_sites(model)] == [site.name for site in sites]
    drop.close()
    assert find_sites(model) == sites
    DropScheduler(model, dropout=standard(0.3)).load_state_dict(state)
