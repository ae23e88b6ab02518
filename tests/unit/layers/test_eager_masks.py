"""In eager our layers draw the masks that torch's, timm's and torchvision's draw, bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm.layers
import torch
import torchvision.ops
from torch import nn

from droptime.errors import ConfigError, CurveError
from droptime.layers import Dropout, DropPath

RATES = (0.0, 0.1, 0.25, 0.5, 0.9)
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def _same(
    ours: nn.Module, theirs: nn.Module | Callable[..., torch.Tensor], dtype: torch.dtype
) -> None:
    x = torch.randn(64, 5, 7).to(dtype)
    results = []
    for module in (ours, theirs):
        torch.manual_seed(1)
        leaf = x.clone().requires_grad_()
        y = module(leaf)
        y.square().sum().backward()
        results.append((y, leaf.grad, torch.get_rng_state()))
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", RATES)
def test_dropout_is_torchs(p: float, dtype: torch.dtype) -> None:
    _same(Dropout(p), nn.Dropout(p), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", RATES)
@pytest.mark.parametrize("scale", [True, False])
def test_drop_path_is_timms(p: float, dtype: torch.dtype, scale: bool) -> None:
    _same(DropPath(p, scale_by_keep=scale), timm.layers.DropPath(p, scale_by_keep=scale), dtype)


@pytest.mark.parametrize("p", RATES)
@pytest.mark.parametrize("mode", ["row", "batch"])
def test_drop_path_is_torchvisions(p: float, mode: str) -> None:
    _same(DropPath(p, mode=mode), torchvision.ops.StochasticDepth(p, mode), torch.float32)


@pytest.mark.parametrize("layer", [Dropout(0.5), DropPath(0.5)])
def test_eval_mode_is_the_identity(layer: nn.Module) -> None:
    x = torch.randn(8, 3)
    assert layer.eval()(x) is x


def test_dropout_in_place_writes_its_input() -> None:
    x = torch.ones(1000)
    y = Dropout(0.5, inplace=True)(x)
    assert y.data_ptr() == x.data_ptr()
    assert 300 < (x == 0).sum() < 700


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan"), "a lot", None])
@pytest.mark.parametrize("layer", [Dropout, DropPath])
def test_bad_rates_are_refused_and_change_nothing(layer: type[Dropout], p: float) -> None:
    with pytest.raises(CurveError, match=r"a drop rate is a probability in \[0, 1\)"):
        layer(p)
    good = layer(0.25)
    with pytest.raises(CurveError):
        good.p = p
    assert good.p == 0.25
    assert good.rate.item() == 0.25


def test_drop_path_refuses_an_unknown_mode() -> None:
    with pytest.raises(ConfigError, match="expected 'row' or 'batch'"):
        DropPath(0.1, mode="column")
