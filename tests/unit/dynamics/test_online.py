"""Gradients a step computes anyway: the same values, and the same gradient for the optimizer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from droptime import GradientDirections
from droptime.dynamics import OnlineDirections
from droptime.errors import ConfigError, DivergedError, GradientError, StatsError
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


def _close(found: Any, expected: Any) -> None:
    assert found.n == expected.n
    for name in ("value", "standard_error"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9), name


@pytest.mark.parametrize(
    ("count", "dtype"),
    [(2, torch.float32), (4, torch.float32), (7, torch.bfloat16), (3, torch.float64)],
)
@pytest.mark.parametrize("groups", [None, "layer"])
@pytest.mark.parametrize("to_none", [True, False])
def test_few_gradients_are_kept_and_say_the_same(
    count: int, dtype: torch.dtype, groups: str | None, to_none: bool
) -> None:
    """As sums and lossless sketches; what becomes of ``.grad`` afterwards is no matter."""
    model, plain = _net().to(dtype), _net().to(dtype)
    batches = [(x.to(dtype), y) for x, y in loader(shuffle=False)][:count]
    online = OnlineDirections(model, batch_size=8, groups=groups)
    twin = GradientDirections(groups=groups)
    for step in range(2):
        model.zero_grad(set_to_none=to_none)
        for batch in batches:
            with online.micro(step):
                _backward(model, batch)
            plain.zero_grad()
            _backward(plain, batch)
            twin.update(plain)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        found = online.step(step)
        assert found is not None
        assert found.groups.keys() == set(twin.groups)
        for name, part in [(None, found), *found.groups.items()]:
            _close(part.variance, twin.variance(name))
            _close(part.gradient_norm, twin.norm(name))
            scale = twin.noise_scale_or_none(8, group=name)
            assert (part.noise_scale is None) == (scale is None)
            if part.noise_scale is not None:
                _close(part.noise_scale, scale)
        twin = GradientDirections(groups=groups)


def test_a_parameter_used_by_some_micro_batches_only() -> None:
    """Its gradient of the first lies in ``.grad`` untouched by the second, and is clipped there."""
    model, twin = (
        nn.ModuleList([nn.Linear(2, 2, bias=False) for _ in range(2)]),
        GradientDirections(),
    )
    online = OnlineDirections(model)
    x = torch.tensor([1.0, 2.0])
    for used in ((0, 1), (1,)):
        gradients: dict[str, torch.Tensor | None] = {}
        with online.micro(0):
            torch.stack([model[i](x).sum() * (i + 1) for i in used]).sum().backward()  # type: ignore[no-untyped-call]
            for name, p in model.named_parameters():
                gradients[name] = None if p.grad is None else p.grad.clone()
        twin.update(gradients)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
    found = online.step(0)
    assert found is not None
    assert found.variance.value == pytest.approx(twin.variance().value, rel=1e-12)
    assert found.variance.value == pytest.approx((1 - 2 / 5**0.5) / 2)


def test_a_gradient_too_small_to_square_in_its_precision_is_no_zero() -> None:
    model = _net()
    online, batches = OnlineDirections(model), list(loader(shuffle=False))
    for batch in batches[:2]:
        with online.micro(0):
            (loss_fn(model, batch) * 1e-30).backward()  # type: ignore[no-untyped-call]
    found = online.step(0)
    assert found is not None
    assert 0 < found.gradient_norm.value < 1e-28
    with pytest.raises(DivergedError, match="not finite"), online.micro(1):
        (loss_fn(model, batches[0]) * float("inf")).backward()  # type: ignore[no-untyped-call]
    with pytest.raises(StatsError, match="gave 0 gradient"):
        online.step(1)


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


@pytest.mark.parametrize("count", [2, 6])
def test_a_step_that_breaks_off_is_no_part_of_the_next(count: int) -> None:
    model, batches = _net(), list(loader(shuffle=False))
    online = OnlineDirections(model)
    with online.micro(0):
        _backward(model, batches[-1])
    with pytest.raises(DivergedError, match="not finite"), online.micro(0):
        (loss_fn(model, batches[0]) * float("inf")).backward()  # type: ignore[no-untyped-call]
    model.zero_grad()
    for batch in batches[:count]:
        with online.micro(1):
            _backward(model, batch)
    found = online.step(1)
    assert found is not None
    assert found.batches == count


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
