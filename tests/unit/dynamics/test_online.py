"""Gradients a step computes anyway: the same values, and the same gradient for the optimizer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from droptime import GradientDirections
from droptime.dynamics import OnlineDirections
from droptime.errors import ConfigError, GradientError, StatsError
from tests.unit.dynamics.nets import loader, loss_fn


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def _backward(model: nn.Module, batch: Any) -> None:
    loss: Any = loss_fn(model, batch)
    loss.backward()


def test_micro_batches_are_told_apart() -> None:
    model, batches = _net(), list(loader(shuffle=False))[:5]
    online = OnlineDirections(model, batch_size=8, groups="layer")
    for batch in batches:
        with online.micro(0):
            _backward(model, batch)
    found = online.step(0)
    assert found is not None

    twin, plain = GradientDirections(groups="layer"), _net()
    for batch in batches:
        plain.zero_grad()
        _backward(plain, batch)
        twin.update(plain)
    assert found.batches == 5
    assert found.variance == twin.variance()
    assert found.noise_scale == twin.noise_scale_or_none(8)
    for name, part in found.groups.items():
        assert part.variance == twin.variance(name)
        assert part.gradient_norm == twin.norm(name)

    plain.zero_grad()
    for batch in batches:
        _backward(plain, batch)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert torch.equal(ours.grad, theirs.grad)


def test_a_window_s_gradients_do_not_leak_into_the_next() -> None:
    model, batches = _net(), list(loader(shuffle=False))
    online = OnlineDirections(model, every=2)
    counts = []
    for step in range(4):
        for batch in batches[: 2 + step]:
            with online.micro(step):
                _backward(model, batch)
        found = online.step(step)
        counts.append(found and found.batches)
    assert counts == [2, None, 4, None]


def test_a_step_that_breaks_off_leaves_the_whole_gradient() -> None:
    model, batches = _net(), list(loader(shuffle=False))
    online = OnlineDirections(model)
    _backward(model, batches[0])
    before = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    with pytest.raises(GradientError, match="zero"), online.micro(0):
        (loss_fn(model, batches[1]) * 0).backward()  # type: ignore[no-untyped-call]
    after = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(map(torch.equal, before, after))


def test_one_gradient_is_not_enough() -> None:
    model = _net()
    online = OnlineDirections(model)
    with online.micro(0):
        _backward(model, next(iter(loader())))
    with pytest.raises(StatsError, match="at least 2"):
        online.step(0)
    with pytest.raises(ConfigError, match="every=0"):
        OnlineDirections(model, every=0)
