"""Blocks compiled one by one share their graphs, and each drops at its own rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch._dynamo.backends.registry import lookup_backend

from droptime import Clock, DropScheduler, early, standard

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("dynamo")]

RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
ROWS = 2**14


class Block(nn.Module):
    """A branch of ones, dropped by sample, then by element."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.drop_path = timm.layers.DropPath(p)
        self.dropout = nn.Dropout(p)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.drop_path(x), self.dropout(x)], dim=1)


def _in_place(blocks: nn.Sequential, backend: Any) -> None:
    for block in blocks:
        block.compile(backend=backend, fullgraph=True)


def _wrapped(blocks: nn.Sequential, backend: Any) -> None:
    for index, block in enumerate(blocks):
        blocks[index] = torch.compile(block, backend=backend, fullgraph=True)  # type: ignore[assignment]


def _counting(name: str) -> tuple[Any, list[int]]:
    graphs: list[int] = []
    inner = lookup_backend(name)

    def backend(module: Any, inputs: Any) -> Any:
        graphs.append(1)
        return inner(module, inputs)

    return backend, graphs


def _check(block: Callable[[Tensor], Tensor], rate: float) -> None:
    for y in block(torch.ones(ROWS, 1)).unbind(1):
        spread = (rate * (1 - rate) / ROWS) ** 0.5
        assert abs((y == 0).float().mean().item() - rate) <= 5 * spread
        torch.testing.assert_close(y.max().item(), 1 / (1 - rate))


@pytest.mark.parametrize("regional", [_in_place, _wrapped])
@pytest.mark.parametrize("driven_first", [False, True])
def test_constant_rates_that_differ_make_one_graph(
    regional: Callable[..., None], driven_first: bool
) -> None:
    """Stock drop path compiled so drops every block from the third on at the second one's rate."""
    blocks = nn.Sequential(*map(Block, RATES)).train()
    backend, graphs = _counting("inductor")
    if not driven_first:
        regional(blocks, backend)
    constant = {f"{index}.dropout": standard(rate) for index, rate in enumerate(RATES)}
    DropScheduler(blocks, drop_path=standard(0.6), rates=constant)
    if driven_first:
        regional(blocks, backend)
    for block, rate in zip(blocks, RATES, strict=True):
        _check(block, rate)
    assert len(graphs) == 1


def test_a_schedule_makes_one_graph_on_and_one_off_for_all_blocks() -> None:
    blocks = nn.Sequential(*map(Block, RATES)).train()
    backend, graphs = _counting("inductor")
    _in_place(blocks, backend)
    clock = Clock(total_steps=24)
    curves = {f"{index}.dropout": early(rate, until="20st") for index, rate in enumerate(RATES)}
    drop = DropScheduler(blocks, drop_path=early(0.6, until="20st"), rates=curves, clock=clock)
    for _ in range(23):
        share = drop.get_last_rates()["drop_path"] / 0.6
        for block, rate in zip(blocks, RATES, strict=True):
            _check(block, rate * share)
        drop.step()
    assert len(graphs) == 2


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own, while tracing
def test_a_vit_compiled_by_blocks_trains_through_a_schedule() -> None:
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, depth=4, embed_dim=32, num_heads=2, num_classes=4
    ).train()
    backend, graphs = _counting("aot_eager")
    _in_place(model.blocks, backend)
    curve = early(0.6, until="12st")
    drop = DropScheduler(model, dropout=curve, drop_path=curve, clock=Clock(total_steps=16))
    x = torch.randn(4, 3, 32, 32)
    for _ in range(15):
        first, second = model(x), model(x)
        assert torch.equal(first, second) == (not any(drop.get_last_rates().values()))
        first.square().sum().backward()
        drop.step()
    assert len(graphs) == 4  # on and off; the first block, an nn.Identity for its drop path, too
