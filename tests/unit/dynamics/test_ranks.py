"""Two processes find what one finds on the union of their data."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from droptime import GradientDirections, GradientProbe
from droptime.dynamics import Dynamics, OnlineDirections, Part, Value, over_ranks
from droptime.errors import StateError
from tests.ranks import RANKS, on_two_ranks

K, BATCH = 6, 4


def _net() -> nn.Module:
    torch.manual_seed(0)
    blocks = [nn.Linear(5, 7), nn.Tanh(), nn.Dropout(0.0), nn.Linear(7, 3), nn.LayerNorm(3)]
    return nn.Sequential(*blocks).double()


def _data(count: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(1)
    return list(torch.randn(count, BATCH, 5, generator=random, dtype=torch.float64))


def _loss(model: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = model(x)
    return (out - x[:, :3]).square().mean()


def _probe(model: nn.Module, data: list[Tensor], **settings: Any) -> Dynamics:
    probe = GradientProbe(model, _loss, data, groups="layer", **settings)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.5)
    return probe(3)


def data_parallel(rank: int, reference: bool | int) -> dict[str, Any]:
    """Each process has every second batch."""
    data, wrapped = _data(RANKS * K)[rank::RANKS], DistributedDataParallel(_net())
    return {"found": _probe(wrapped, data, batches=K, reference=reference, ranks=True)}


def sharded(rank: int) -> dict[str, Any]:
    """Each process has half of each batch; what the probe finds is of the whole batch."""
    model: Any = _net()
    for module in (model[0], model[3], model):
        fully_shard(module)
    data = [x[rank::RANKS] for x in _data(K)]
    with torch.no_grad():
        model(data[0])  # leaves gathered parameters behind
    grads = [p.grad for p in model.parameters()]
    found = _probe(model, data, batches=K)
    assert all(p.grad is None for p in model.parameters()), grads
    return {"found": found}


def online(rank: int, measured: bool) -> dict[str, Any]:
    """A DDP step whose two gradients are told apart before they are averaged."""
    model, data = _net(), _data(2 * RANKS)[rank::RANKS]
    wrapped = DistributedDataParallel(model)
    watch = OnlineDirections(wrapped, batch_size=BATCH, every=2) if measured else None
    optimizer, found = torch.optim.SGD(wrapped.parameters(), lr=0.1), []
    for step, x in enumerate(data):
        optimizer.zero_grad()
        loss = _loss(wrapped, x)
        if watch is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            with watch.micro(step):
                loss.backward()  # type: ignore[no-untyped-call]
            found.append(watch.step(step))
        optimizer.step()
    return {"found": found, "weights": model.state_dict()}


def _close(left: Any, right: Any, where: str = "") -> None:
    """All values equal to rounding; standard errors too where nothing is lost in sketches."""
    for item in fields(Part):
        a, b = getattr(left, item.name), getattr(right, item.name)
        if isinstance(a, Value):
            assert a.value == pytest.approx(b.value, rel=1e-9, abs=1e-12), (where, item.name)
            assert a.standard_error == pytest.approx(b.standard_error, rel=1e-6, abs=1e-12)
            assert a.n == b.n
        else:
            assert a == (b if b is None else pytest.approx(b, rel=1e-9)), (where, item.name)


@pytest.mark.slow
@pytest.mark.parametrize("reference", [True, 4])
def test_ranks_merge_to_one_process(reference: bool | int) -> None:
    ranks = [report["found"] for report in on_two_ranks(data_parallel, reference)]
    data = _data(RANKS * K)
    if reference is not True:  # each process samples its first batches
        data = [x for pair in zip(data[::2], data[1::2], strict=True) for x in pair]
    alone = _probe(_net(), data, batches=RANKS * K, reference=reference if reference is True else 8)
    for found in ranks:
        _close(found, alone)
        assert vars(found.reference) == pytest.approx(vars(alone.reference), rel=1e-9)
        for name, part in alone.groups.items():
            _close(found.groups[name], part, name)


@pytest.mark.slow
def test_shards_measure_as_one_process() -> None:
    ranks = [report["found"] for report in on_two_ranks(sharded)]
    data = [torch.cat([x[0::2], x[1::2]]) for x in _data(K)]
    alone = _probe(_net(), data, batches=K)
    for found in ranks:
        assert found.batch_size == alone.batch_size == BATCH
        assert found.reference is not None
        assert alone.reference is not None
        assert found.reference.examples == alone.reference.examples == K * BATCH
        assert found.reference.loss == pytest.approx(alone.reference.loss, rel=1e-6)
        for part, other in zip(
            [found, *found.groups.values()], [alone, *alone.groups.values()], strict=True
        ):
            for name in ("variance", "error", "gradient_norm", "noise_scale"):
                ours, theirs = getattr(part, name), getattr(other, name)
                assert (ours is None) == (theirs is None), name
                if ours is not None:
                    assert ours.value == pytest.approx(theirs.value, rel=1e-9), name
            assert part.distance == pytest.approx(other.distance, rel=1e-9)


@pytest.mark.slow
def test_gradients_of_a_ddp_step() -> None:
    measured, plain = on_two_ranks(online, True), on_two_ranks(online, False)
    for report, other in zip(measured, plain, strict=True):
        for name, weight in other["weights"].items():
            assert torch.equal(report["weights"][name], weight)
    model, twin = _net(), GradientDirections()
    for x in _data(2 * RANKS)[:RANKS]:
        model.zero_grad()
        _loss(model, x).backward()  # type: ignore[no-untyped-call]
        twin.update(model)
    for report in measured:
        first, second = report["found"]
        assert second is None
        assert first.batches == RANKS
        assert first.variance.value == pytest.approx(twin.variance().value, rel=1e-12)
        expected = twin.noise_scale_or_none(BATCH)
        assert (first.noise_scale is None) == (expected is None)
        if expected is not None:
            assert first.noise_scale.value == pytest.approx(expected.value, rel=1e-9)


def test_one_process_has_nothing_to_merge() -> None:
    found = GradientDirections()
    found.update({"w": torch.ones(2)})
    with pytest.raises(StateError, match="one process only"):
        over_ranks(found)
