"""Runs of two processes over gloo: what each rank does and reports."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import fully_shard
from torch.multiprocessing.spawn import spawn
from torch.nn import functional as F  # noqa: N812
from torch.nn.parallel import DistributedDataParallel

from droptime import Clock, DropScheduler

RANKS, STEPS, ACCUMULATE = 2, 4, 2
WIDE = torch.ones(4000)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.attn = nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True)
        self.drop = nn.Dropout(0.0)
        self.drop_path = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        y, _ = self.attn(y, y, y, need_weights=False)
        branch: Tensor = self.drop_path(self.drop(y))
        return x + branch


class Net(nn.Module):
    """Every means of driving: layers, attention's float and a functional dropout at the root."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.Sequential(Block(), Block())
        self.out = nn.Linear(8, 1)
        self.dropout_rate = 0.2
        self.rates: list[tuple[float, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        block: Any = self.blocks[1]
        rates = (
            self.dropout_rate,
            block.drop.p,
            block.attn.dropout,
            getattr(block.drop_path, "p", 0.0),
        )
        self.rates.append(rates)
        x = F.dropout(self.blocks(x), p=self.dropout_rate, training=self.training)
        out: Tensor = self.out(x)
        return out


def _drive(net: Net) -> DropScheduler:
    curves: dict[str, Any] = {"dropout": "early(0.6, until=4st)", "drop_path": "standard(0.5)"}
    clock = Clock(total_steps=STEPS)
    return DropScheduler(net, **curves, rates={"head": "early(0.4, until=4st)"}, clock=clock)


def _train(net: Net, wrapped: Any, drop: DropScheduler, last: Callable[[bool], None]) -> None:
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.1)
    for _ in range(STEPS):
        for micro in range(ACCUMULATE):
            last(micro == ACCUMULATE - 1)
            wrapped(torch.randn(4, 3, 8)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        drop.step()


def _masks(net: Net) -> Tensor:
    block: Any = net.blocks[1]
    block.drop.p = 0.5
    mask: Tensor = block.drop(WIDE) != 0
    return mask


def ddp(rank: int, driven_first: bool) -> dict[str, Any]:
    """Train under DDP, whose buffers (the batch statistics) are broadcast at every forward."""
    net = Net()
    torch.manual_seed(100 + rank)
    drop = _drive(net) if driven_first else None
    wrapped = DistributedDataParallel(net)
    drop = drop or _drive(net)

    def last(is_last: bool) -> None:
        wrapped.require_backward_grad_sync = is_last

    _train(net, wrapped, drop, last)
    return {
        "rates": net.rates,
        "weights": {name: value.detach() for name, value in net.named_parameters()},
        "broadcast": len(wrapped.modules_buffers),
        "masks": _masks(net),
    }


def fsdp2(rank: int, driven_first: bool) -> dict[str, Any]:
    """Train under FSDP2: each block sharded, then the whole."""
    net = Net()
    torch.manual_seed(100 + rank)
    drop = _drive(net) if driven_first else None
    for module in (*net.blocks, net):
        fully_shard(module)
    drop = drop or _drive(net)
    sharded: Any = net
    _train(net, net, drop, sharded.set_requires_gradient_sync)
    masks = _masks(net)
    drop.close()
    sharded.set_requires_gradient_sync(True)  # the wrapper outlives the schedule
    sharded(torch.randn(4, 3, 8)).sum().backward()
    weights = {name: value.full_tensor().detach() for name, value in sharded.named_parameters()}
    return {"rates": net.rates, "weights": weights, "masks": masks, "class": type(net).__name__}


Work: TypeAlias = Callable[..., dict[str, Any]]
WORK: dict[str, Work] = {"ddp": ddp, "fsdp2": fsdp2}


def _rank(rank: int, work: str | Work, folder: str, *args: Any) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS
    )
    run = WORK[work] if isinstance(work, str) else work
    torch.save(run(rank, *args), f"{folder}/{rank}.pt")
    distributed.barrier()
    distributed.destroy_process_group()


def on_two_ranks(work: str | Work, *args: Any) -> list[dict[str, Any]]:
    """What each rank reports; ``work`` is a name of those here, or a module's own function."""
    with tempfile.TemporaryDirectory() as folder:
        spawn(  # type: ignore[no-untyped-call]
            _rank, args=(work, folder, *args), nprocs=RANKS
        )
        return [
            torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(RANKS)
        ]
