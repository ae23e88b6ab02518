"""Attach, step, close: the identity on random module trees."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from droptime import Clock, DropScheduler
from droptime.errors import SiteError

RATES = st.floats(0, 0.99)


class Branch(nn.Module):
    """A residual branch with a placeholder for its drop path."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.drop_path = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch: torch.Tensor = self.drop_path(self.inner(x))
        return x + branch


class Float(nn.Module):
    """A float handed to F.dropout."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropout_prob = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x, self.dropout_prob, training=self.training)


class Attention(nn.Module):
    """Self-attention with a float."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, dropout=p, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.attention(x, x, x)[0]
        return mixed


LEAVES = st.one_of(
    st.builds(nn.Dropout, RATES, st.booleans()),
    st.builds(nn.Dropout1d, RATES),
    st.builds(nn.AlphaDropout, RATES),
    st.builds(Float, RATES),
    st.builds(Attention, RATES),
    st.builds(nn.Linear, st.just(4), st.just(4)),
    st.builds(nn.Identity),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda children: nn.Sequential(*children), st.lists(inner, min_size=1, max_size=3)
        ),
        st.builds(Branch, inner),
    ),
    max_leaves=8,
)


def _picture(model: nn.Module) -> list[Any]:
    """Everything a scheduler may touch, as comparable values."""
    return [
        (
            name,
            id(module),
            type(module),
            {key: repr(value) for key, value in vars(module).items() if not key.startswith("_")},
            list(module._modules),
            list(module._buffers),
            sorted(module._non_persistent_buffers_set),
            list(module._forward_pre_hooks.values()),
            list(module._forward_pre_hooks_with_kwargs),
            module.training,
        )
        for name, module in model.named_modules()
    ]


def _run(model: nn.Module) -> list[torch.Tensor]:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, requires_grad=True)
    y = model(x * 1)
    y.sum().backward()
    assert x.grad is not None
    return [y, x.grad, torch.get_rng_state()]


@settings(max_examples=150, deadline=None)
@given(
    TREES,
    st.sets(st.sampled_from(["dropout", "drop_path"]), min_size=1),
    st.sampled_from([False, True, "fixed"]),
    st.integers(0, 8),
)
def test_attach_then_close_is_the_identity(
    tree: nn.Module, driven: set[str], skip: Any, steps: int
) -> None:
    before, ran = _picture(tree), _run(tree)
    curves: dict[str, Any] = dict.fromkeys(driven, "early(0.5, until=5st)")
    try:
        drop = DropScheduler(tree, clock=Clock(total_steps=8), skip=skip, **curves)
    except SiteError:  # nothing to drive, or nothing to skip
        assert _picture(tree) == before
        return
    for _ in range(steps):
        _run(tree)
        drop.step()
    keys = set(tree.state_dict())
    drop.close()
    assert _picture(tree) == before
    assert set(tree.state_dict()) == keys
    for first, second in zip(ran, _run(tree), strict=True):
        assert torch.equal(first, second)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 20), st.integers(0, 20))
def test_loading_at_any_step_equals_walking_there(walked: int, loaded: int) -> None:
    def scheduler() -> DropScheduler:
        model = nn.Sequential(nn.Dropout(0.0))
        return DropScheduler(model, dropout="early(0.5, until=50%)", clock=Clock(total_steps=20))

    first, second = scheduler(), scheduler()
    for _ in range(walked):
        first.step()
    for _ in range(loaded):
        second.step()
    second.load_state_dict(first.state_dict())
    assert second.get_last_rates() == first.get_last_rates()
    assert second.last_step == walked
