"""Attention written out equals torch's own, for every option, when nothing drops."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from droptime.layers import attention


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    """Compare in float64, so that only the formula can differ."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _keep(weights: Tensor) -> Tensor:
    return weights


def _twin(*args: Any, **kwargs: Any) -> Any:
    return attention.multi_head_attention_forward(_keep, *args, **kwargs)


@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("mask", ["none", "causal", "bool", "float"])
def test_scaled_dot_product_attention(scale: float | None, groups: int, mask: str) -> None:
    query = torch.randn(2, 4, 5, 8)
    key, value = torch.randn(2, 4 // groups, 6, 8), torch.randn(2, 4 // groups, 6, 3)
    masks = {"bool": torch.rand(5, 6) < 0.8, "float": torch.randn(5, 6)}
    options: dict[str, Any] = {
        "attn_mask": masks.get(mask),
        "is_causal": mask == "causal",
        "scale": scale,
        "enable_gqa": groups > 1,
    }
    ours = attention.scaled_dot_product_attention(_keep, query, key, value, **options)
    theirs = F.scaled_dot_product_attention(query, key, value, **options)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("mask", ["bool", "float"])
def test_a_row_that_may_attend_nowhere_gives_zeros_and_finite_gradients(mask: str) -> None:
    allowed = torch.ones(5, 6, dtype=torch.bool)
    allowed[2] = False
    given = allowed if mask == "bool" else torch.zeros(5, 6).masked_fill(~allowed, -torch.inf)
    results = []
    for function in (partial(attention.scaled_dot_product_attention, _keep), _sdpa):
        generator = torch.Generator().manual_seed(1)
        q, k, v = (torch.randn(2, 2, n, 8, generator=generator).requires_grad_() for n in (5, 6, 6))
        y = function(q, k, v, attn_mask=given)
        y.square().sum().backward()  # type: ignore[no-untyped-call]
        results.append((y, q.grad, k.grad, v.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert (results[0][0][:, :, 2] == 0).all()


def test_half_precision_does_not_overflow_where_torch_does_not() -> None:
    q = (torch.randn(1, 1, 16, 64, generator=torch.Generator().manual_seed(1)) * 40).half()
    ours = attention.scaled_dot_product_attention(_keep, q, q, q)
    assert ours.isfinite().all()
    assert _sdpa(q, q, q).isfinite().all()


def _sdpa(*args: Any, **kwargs: Any) -> Tensor:
    return F.scaled_dot_product_attention(*args, **kwargs)


OPTIONS: dict[str, list[Any]] = {
    "batch_first": [True, False],
    "bias": [True, False],
    "add_bias_kv": [True, False],
    "add_zero_attn": [True, False],
    "kdim": [None, 6],
}


@pytest.mark.parametrize("values", list(itertools.product(*OPTIONS.values())))
@pytest.mark.parametrize("masks", ["none", "2d bool", "3d float", "padding", "both"])
def test_multi_head_attention(values: tuple[Any, ...], masks: str) -> None:
    options = dict(zip(OPTIONS, values, strict=True))
    module = nn.MultiheadAttention(8, 2, vdim=options["kdim"], **options)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    query, key = torch.randn(3, 5, 8), torch.randn(3, 4, options["kdim"] or 8)
    if not module.batch_first:
        query, key = query.transpose(0, 1), key.transpose(0, 1)
    padding = torch.tensor([[False, False, False, True]] * 3)
    given: dict[str, Any] = {
        "none": {},
        "2d bool": {"attn_mask": torch.ones(5, 4, dtype=torch.bool).triu(1)},
        "3d float": {"attn_mask": torch.randn(6, 5, 4)},
        "padding": {"key_padding_mask": padding},
        "both": {
            "attn_mask": torch.zeros(5, 4, dtype=torch.bool),
            "key_padding_mask": padding,
        },
    }[masks]
    for need, average in ((False, True), (True, True), (True, False)):
        call = {"need_weights": need, "average_attn_weights": average, **given}
        theirs = module(query, key, key, **call)
        with mock.patch.object(F, "multi_head_attention_forward", _twin):
            ours = module(query, key, key, **call)
        torch.testing.assert_close(ours, theirs)


def test_multi_head_attention_unbatched() -> None:
    module = nn.MultiheadAttention(8, 2)
    x = torch.randn(5, 8)
    padding = torch.tensor([False, False, True, False, False])
    theirs = module(x, x, x, key_padding_mask=padding)
    with mock.patch.object(F, "multi_head_attention_forward", _twin):
        ours = module(x, x, x, key_padding_mask=padding)
    torch.testing.assert_close(ours, theirs)


def test_multi_head_attention_causal() -> None:
    module = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(2, 5, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    for need in (False, True):
        call = {"attn_mask": mask, "is_causal": True, "need_weights": need}
        theirs = module(x, x, x, **call)
        with mock.patch.object(F, "multi_head_attention_forward", _twin):
            ours = module(x, x, x, **call)
        torch.testing.assert_close(ours, theirs)
