"""Where branches begin: found in the block's own code, or refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from droptime import DropScheduler
from droptime.errors import SiteError
from droptime.layers import DropPath
from droptime.sites import find_sites
from droptime.sites.branches import Branch, find_branch


def _found(model: nn.Module) -> dict[tuple[tuple[str, ...], str], int]:
    """``(names of the entries, reason) -> number of drop paths``, for a whole model."""
    counts: dict[tuple[tuple[str, ...], str], int] = {}
    for site in find_sites(model):
        if site.kind == "drop_path":
            branch = find_branch(model, site.path)
            key = tuple(entry.rsplit(".", 1)[-1] for entry in branch.entries), branch.why
            counts[key] = counts.get(key, 0) + 1
    return counts


BATCH_NORM = "BatchNorm: its statistics would be those of the kept samples"
NONE = "no first module that all of its input passes"
TIMM: dict[str, dict[tuple[tuple[str, ...], str], int]] = {
    "vit_tiny_patch16_224": {(("norm1",), ""): 12, (("norm2",), ""): 12},
    "swin_tiny_patch4_window7_224": {(("norm1",), ""): 12, (("norm2",), ""): 12},
    "swinv2_tiny_window8_256": {((), NONE): 12, (("mlp",), ""): 12},
    "convnext_femto": {(("conv_dw",), ""): 12},
    "mixer_s16_224": {(("norm1", "norm2"), ""): 8},
    "cait_xxs24_224": {(("norm1", "norm2"), ""): 26},
    "efficientnet_b0": {((), BATCH_NORM): 9, ((), "no forward calls it"): 7},
    "davit_tiny": {((), NONE): 6, (("norm1",), ""): 6, (("norm2",), ""): 12},
    "coat_tiny": {(("norm2",), NONE): 8, ((), "its branches run side by side"): 6},
}
TORCHVISION = {
    "swin_t": {(("norm1", "norm2"), ""): 12},
    "swin_v2_t": {(("attn", "mlp"), ""): 12},
    "convnext_tiny": {(("block",), ""): 18},
    "maxvit_t": {((), BATCH_NORM): 11, (("attn_layer", "mlp_layer"), ""): 22},
    "efficientnet_b0": {((), BATCH_NORM): 9, ((), "no forward calls it"): 7},
}


@pytest.mark.parametrize("name", TIMM)
def test_branches_of_timm_models(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name)
    assert _found(model) == TIMM[name]


@pytest.mark.parametrize("name", TORCHVISION)
def test_branches_of_torchvision_models(name: str) -> None:
    with torch.device("meta"):
        model = torchvision.models.get_model(name)
    assert _found(model) == TORCHVISION[name]


class Block(nn.Module):
    """Parts for the blocks below."""

    def __init__(self, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.norm = norm or nn.LayerNorm(4)
        self.mlp, self.other = nn.Linear(4, 4), nn.Linear(4, 4)
        self.gamma = nn.Parameter(torch.ones(4))
        self.drop_path = DropPath(0.5)


class LayerScale(Block):
    def forward(self, x: Tensor, mask: Tensor | None = None, *, scale: float = 1.0) -> Any:
        y = self.mlp(self.norm(x))
        if mask is not None:
            y = y + mask
        return x + self.drop_path(self.gamma.reshape(1, -1) * y * scale)


class Second(Block):
    def forward(self, x: Tensor) -> Any:
        x = self.gamma * self.other(x) + x
        return self.drop_path(self.mlp(self.norm(x))) + x


class SampleSizes(Block):
    def forward(self, x: Tensor, **kwargs: Any) -> Any:
        batch, tokens, width = x.shape
        y = self.norm(x).reshape(-1, tokens * width).reshape(-1, x.size(1), width)
        x = x + self.drop_path(self.mlp(y))
        return x.reshape(batch, -1)


class BatchSize(Block):
    def forward(self, x: Tensor) -> Any:
        batch = x.shape[0]
        return x + self.drop_path(self.mlp(self.norm(x).reshape(batch, -1, 4)))


class BatchSizeInside(Block):
    def forward(self, x: Tensor) -> Any:
        batch = x.shape[0]
        return x + self.drop_path(self.mlp(self.norm(x)).reshape(batch, -1, 4))


class TwoWaysIn(Block):
    def forward(self, x: Tensor) -> Any:
        return x + self.drop_path(self.mlp(self.norm(x)) * self.other(x))


class Bypass(Block):
    def forward(self, x: Tensor) -> Any:
        return x + self.drop_path(self.norm(x) - x)


class Escape(Block):
    def forward(self, x: Tensor) -> Any:
        y = self.norm(x)
        return x + self.drop_path(y) + self.other(y)


class LaterEntry(Block):
    def forward(self, x: Tensor) -> Any:
        y = self.norm(x)
        return self.other(y) + self.drop_path(self.mlp(y))


class TokensFirst(Block):
    def forward(self, x: Tensor) -> Any:
        y = x.transpose(0, 1)
        return x + self.drop_path(self.mlp(self.norm(y)).transpose(0, 1))


class CalledTwice(Block):
    def forward(self, x: Tensor) -> Any:
        return x + self.drop_path(self.norm(self.norm(x)))


class DataDecides(Block):
    def forward(self, x: Tensor) -> Any:
        if x.sum() > 0:
            x = x + self.drop_path(self.mlp(self.norm(x)))
        return x


class NothingInside(Block):
    def forward(self, x: Tensor) -> Any:
        return x + self.drop_path(x * self.gamma)


class SideBySide(Block):
    def forward(self, x: Tensor, y: Tensor) -> Any:
        a, b = self.mlp(x), self.other(y)
        return x + self.drop_path(a), y + self.drop_path(b)


class Sizes(Block):
    def forward(self, x: Tensor, height: int, size: tuple[int, int]) -> Any:
        rows, columns = size
        x = x + self.drop_path(self.mlp(self.norm(x) * height))
        return x + self.drop_path(self.other(x).reshape(-1, rows, columns))


class Weights(Block):
    """Returns attention's weights too, where attention gives any."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp = TwoResults()  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Any:
        results = self.mlp(self.norm(x))
        return (x + self.drop_path(results[0]),) + results[1:]  # noqa: RUF005 - as in transformers


class TwoResults(nn.Module):
    more: tuple[Tensor, ...] = ()

    def forward(self, x: Tensor) -> Any:
        return x * 2, *self.more


class FirstResultEscapes(Weights):
    def forward(self, x: Tensor) -> Any:
        first, second = self.mlp(self.norm(x))
        return x + self.drop_path(first + second), first


@pytest.mark.parametrize(
    ("block", "entries"),
    [
        (LayerScale(), ("0.norm",)),
        (SampleSizes(), ("0.norm",)),
        (Second(), ("0.norm",)),
        (LaterEntry(), ("0.mlp",)),
        (BatchSize(), ("0.mlp",)),
        (LayerScale(nn.GroupNorm(1, 4)), ("0.norm",)),
        (LayerScale(nn.InstanceNorm1d(4)), ("0.norm",)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_entries(block: nn.Module, entries: tuple[str, ...]) -> None:
    assert find_branch(nn.Sequential(block), "0.drop_path") == Branch(entries)


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (BatchSizeInside(), NONE),
        (TwoWaysIn(), NONE),
        (Bypass(), NONE),
        (Escape(), NONE),
        (TokensFirst(), NONE),
        (NothingInside(), NONE),
        (LayerScale(nn.BatchNorm1d(4)), BATCH_NORM),
        (LayerScale(nn.Sequential(nn.Identity(), nn.SyncBatchNorm(4))), BATCH_NORM),
        (LayerScale(nn.InstanceNorm1d(4, track_running_stats=True)), BATCH_NORM),
        (FirstResultEscapes(), NONE),
        (SideBySide(), "its branches run side by side"),
        (DataDecides(), "its block cannot be traced (TraceError: symbolically traced"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_refusals(block: nn.Module, why: str) -> None:
    branch = find_branch(nn.Sequential(block), "0.drop_path")
    assert branch.entries == ()
    assert branch.why.startswith(why)


def test_of_two_branches_one_may_be_skipped() -> None:
    block = Sizes()
    assert find_branch(block, "drop_path") == Branch(("norm", "other"))
    block.other = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))  # type: ignore[assignment]
    assert find_branch(block, "drop_path") == Branch(("norm",), BATCH_NORM)


def test_a_second_result_of_a_skipped_branch_is_refused_while_it_skips() -> None:
    block, x = Weights(), torch.randn(8, 4)
    assert find_branch(block, "drop_path") == Branch(("norm",), single=("mlp",))
    drop = DropScheduler(block, drop_path="standard(0.5)", skip=True)
    assert len(block(x)) == 1
    block.mlp.more = (x,)  # type: ignore[assignment]
    with pytest.raises(SiteError, match="TwoResults returns a second tensor"):
        block(x)
    assert len(block.eval()(x)) == 2
    drop.close()
    assert len(block.train()(x)) == 2


def test_a_module_called_twice_is_no_entry() -> None:
    assert find_branch(nn.Sequential(CalledTwice()), "0.drop_path").entries == ()


def test_one_draw_for_the_whole_batch_cannot_be_skipped() -> None:
    block = LayerScale()
    block.drop_path = DropPath(0.5, mode="batch")
    assert find_branch(block, "drop_path").why == "it draws once for the whole batch"


def test_looking_changes_nothing() -> None:
    class Restless(Block):
        def forward(self, x: Tensor) -> Any:
            self.seen = x
            self.window = x.shape[1]
            torch.rand(3)
            return x + self.drop_path(self.mlp(self.norm(x)))

    block = Restless().eval()
    before, state = dict(vars(block)), torch.get_rng_state()
    assert find_branch(block, "drop_path").entries == ("norm",)
    assert vars(block) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert not block.training
