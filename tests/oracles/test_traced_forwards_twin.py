"""The forwards that are traced follow the law of the code they stand for.

Both draw from one seed: the library's code is shown uniform numbers in the order in which ours
draws them, so that masks, outputs and gradients must agree. Torch's own alpha dropout draws inside
one kernel; there the values of what is kept and dropped are compared.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import timm.layers
import torch
import torchvision.ops
from timm.models.efficientvit_msra import ResidualDrop
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from droptime import DropScheduler, find_sites, standard
from droptime.layers import residual_drop, timm_drop_block, torchvision_drop_block
from droptime.layers.calls import _REWRITTEN
from droptime.layers.floats import HeldRate

P = 0.3


@pytest.fixture
def _uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let in-place Bernoulli draws read the uniform numbers that ours read."""

    def bernoulli_(self: Tensor, p: float) -> Tensor:
        return self.copy_(torch.rand(self.shape) < p)

    monkeypatch.setattr(Tensor, "bernoulli_", bernoulli_)
    monkeypatch.setattr(Tensor, "normal_", lambda self: self.copy_(torch.randn(self.shape)))


def _run(call: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    leaf = x.clone().requires_grad_()
    y = call(leaf * 1)
    y.square().sum().backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    return y, leaf.grad


def _compare(module: nn.Module, traced: Callable[..., Tensor], x: Tensor) -> None:
    rate = HeldRate(P)
    ours = _run(lambda leaf: traced(module, rate, leaf), x)
    for a, b in zip(ours, _run(module, x), strict=True):
        torch.testing.assert_close(a, b)
        assert a.dtype == x.dtype
    assert (ours[0] != x).any()


SIZES = [(14, 14), (7, 9), (4, 12), (3, 3)]
FLAGS = ("with_noise", "inplace", "couple_channels", "scale_by_keep")


@pytest.mark.usefixtures("_uniform")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("block", [1, 4, 7])
def test_timms_drop_block(size: tuple[int, int], block: int) -> None:
    x = torch.randn(16, 5, *size)
    for flags in itertools.product((False, True), repeat=len(FLAGS)):
        for scale in (0.25, 1.0):
            module = timm.layers.DropBlock2d(
                P, block, gamma_scale=scale, **dict(zip(FLAGS, flags, strict=True))
            )
            _compare(module, timm_drop_block, x)


@pytest.mark.usefixtures("_uniform")
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("block", [1, 3, 7])
@pytest.mark.parametrize("size", [(14, 14), (7, 9), (3, 3), (5, 6, 7)])
def test_torchvisions_drop_block(size: tuple[int, ...], block: int, inplace: bool) -> None:
    layer = torchvision.ops.DropBlock2d if len(size) == 2 else torchvision.ops.DropBlock3d
    _compare(layer(P, block, inplace=inplace), torchvision_drop_block, torch.randn(3, 5, *size))


def test_timms_residual_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    x, rand = torch.randn(64, 3, 2, 2), torch.rand
    module = ResidualDrop(nn.Conv2d(3, 3, 1), P)
    ours = _run(lambda leaf: residual_drop(module, HeldRate(P), leaf), x)
    monkeypatch.setattr(torch, "rand", lambda *shape, **where: 1 - rand(*shape, **where))
    for a, b in zip(ours, _run(module, x), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("function", [F.alpha_dropout, F.feature_alpha_dropout])
def test_alpha_dropout(function: Any, dtype: torch.dtype) -> None:
    x = torch.randn(64, 32, 3, dtype=dtype)
    ours = _REWRITTEN[function][2](HeldRate(P), x, P, training=True)
    theirs = function(x, P, training=True)
    fill = theirs.flatten().mode().values
    kept = (theirs != fill) & (ours != ours.flatten().mode().values)
    assert 0.4 < kept.float().mean() < 0.6  # both keep: (1 - P) ** 2
    torch.testing.assert_close(ours[kept], theirs[kept], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours.flatten().mode().values, fill, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "shape", "channels"),
    [
        (F.dropout1d, (2000, 3), (2000, 1)),
        (F.dropout1d, (50, 40, 3), (50, 40, 1)),
        (F.dropout2d, (50, 40, 3, 2), (50, 40, 1, 1)),
        (F.dropout3d, (2000, 3, 2, 2), (2000, 1, 1, 1)),
        (F.dropout3d, (50, 40, 3, 2, 2), (50, 40, 1, 1, 1)),
        (F.feature_alpha_dropout, (50, 40, 3), (50, 40, 1)),
    ],
)
def test_whole_channels_are_dropped(
    function: Any, shape: tuple[int, ...], channels: tuple[int, ...]
) -> None:
    x = torch.ones(shape)
    for y in (_REWRITTEN[function][2](HeldRate(P), x, P, training=True), function(x, P, True)):
        values = y.unique()
        assert len(values) == 2
        narrow = y[tuple(slice(0, length) for length in channels)]
        assert torch.equal(narrow.expand(shape), y)
        assert abs((narrow == values[0]).float().mean() - P) < 5 * (P * (1 - P) / 2000) ** 0.5


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (timm.layers.DropBlock2d(P), "drop_block"),
        (torchvision.ops.DropBlock2d(P, 3), "drop_block"),
        (torchvision.ops.DropBlock3d(P, 3), "drop_block"),
        (ResidualDrop(nn.Identity(), P), "drop_path"),
    ],
)
def test_a_copy_of_a_driven_module_is_the_same_site(module: nn.Module, kind: str) -> None:
    model = nn.Sequential(module)
    (site,) = find_sites(model)
    assert (site.kind, site.rate) == (kind, P)
    drop = DropScheduler(model, rates={kind: standard(P)})
    assert find_sites(copy.deepcopy(model)) == (site,)
    drop.close()
    assert find_sites(model) == (site,)
