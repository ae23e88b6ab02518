"""Every kind of dropout is off inside, and as it was outside."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import nn

from droptime import Clock, DropScheduler, find_sites
from droptime.dynamics import dropout_off
from droptime.errors import SiteError
from tests.unit.dynamics.nets import Net


def _vit() -> nn.Module:
    model: nn.Module = timm.create_model(
        "vit_tiny_patch16_224",
        img_size=32,
        depth=2,
        drop_rate=0.1,
        pos_drop_rate=0.1,
        proj_drop_rate=0.1,
        attn_drop_rate=0.1,
        drop_path_rate=0.2,
        patch_drop_rate=0.25,
    )
    return model


@pytest.mark.parametrize("driven", [False, True], ids=["plain", "driven"])
@pytest.mark.parametrize(
    ("build", "shape"),
    [(Net, (4, 6)), (_vit, (2, 3, 32, 32)), (lambda: nn.GRU(6, 5, 2, dropout=0.4), (4, 2, 6))],
    ids=["net", "vit", "gru"],
)
def test_nothing_drops_inside(build: Any, shape: tuple[int, ...], driven: bool) -> None:
    model, x = build().train(), torch.randn(shape)
    drop = None
    if driven:
        drop = DropScheduler(model, dropout="early(0.3, until=4st)", clock=Clock(total_steps=4))
    before, classes = find_sites(model), [type(module) for module in model.modules()]

    def out() -> torch.Tensor:
        found: Any = model(x)
        result: torch.Tensor = found[0] if isinstance(found, tuple) else found
        return result

    assert not torch.equal(out(), out())
    flags = [module.training for module in model.modules()]
    with dropout_off(model):
        assert torch.equal(out(), out())
        assert [module.training for module in model.modules()] == flags
    assert find_sites(model) == before
    assert [type(module) for module in model.modules()] == classes
    assert not torch.equal(out(), out())
    if drop:
        drop.step()
        assert {site.rate for site in find_sites(model)} != {site.rate for site in before}
        drop.close()


def test_rates_come_back_after_an_error() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.4))
    with pytest.raises(RuntimeError), dropout_off(model):
        raise RuntimeError
    assert find_sites(model)[0].rate == 0.4


class Odd(nn.Module):
    """A rate that is read in a way droptime does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.drop_rate = 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (torch.rand_like(x) > self.drop_rate)


def test_a_rate_that_cannot_be_written_is_named() -> None:
    model = nn.Sequential(Odd())
    assert [site.state for site in find_sites(model)] == ["unknown"]
    with pytest.raises(SiteError, match=r"0\.drop_rate drops with rate 0.5"), dropout_off(model):
        pass
