"""Attention written out, so that the dropout of its weights can read a tensor.

Fused kernels take the rate as a Python float. These two functions have the signatures of torch's
and follow the definitions in torch's documentation, with ``drop`` applied to the weights. They are
traced only while attention weights drop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

Drop: TypeAlias = Callable[[Tensor], Tensor]


def scaled_dot_product_attention(
    drop: Drop,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``F.scaled_dot_product_attention`` with its weights dropped by ``drop``.

    Shapes: query ``[..., heads, target, dim]``, key and value ``[..., heads, source, dim]``;
    returns ``[..., heads, target, value dim]``.
    """
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = (t.repeat_interleave(groups, -3) for t in (key, value))
    if is_causal:
        attn_mask = _causal(query.shape[-2], key.shape[-2], query.device)
    return drop(_weights(query, key, attn_mask, scale)).to(value.dtype) @ value


def multi_head_attention_forward(
    drop: Drop,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """``F.multi_head_attention_forward`` with its weights dropped by ``drop``.

    Shapes: query ``[target, batch, dim]`` or ``[target, dim]``, key and value likewise with the
    source's length; masks as in ``nn.MultiheadAttention``.
    """
    batched = query.dim() == 3
    if not batched:
        query, key, value = (t.unsqueeze(1) for t in (query, key, value))
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    target, batch, _ = query.shape

    packed: Sequence[Any] = (q_proj_weight, k_proj_weight, v_proj_weight)
    if in_proj_weight is not None:
        packed = in_proj_weight.chunk(3)
    biases: Sequence[Any] = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = map(F.linear, (query, key, value), packed, biases)
    if bias_k is not None and bias_v is not None:
        k = torch.cat([k, bias_k.expand(1, batch, -1)])
        v = torch.cat([v, bias_v.expand(1, batch, -1)])
    q, k, v = (t.view(*t.shape[:2], num_heads, -1).permute(1, 2, 0, 3) for t in (q, k, v))
    if static_k is not None:
        k = static_k.view(batch, num_heads, *static_k.shape[1:])
    if static_v is not None:
        v = static_v.view(batch, num_heads, *static_v.shape[1:])
    if add_zero_attn:
        k, v = (F.pad(t, (0, 0, 0, 1)) for t in (k, v))

    mask = _merged_mask(attn_mask, key_padding_mask, q, k.shape[-2])
    if is_causal and mask is None:
        mask = _causal(target, k.shape[-2], q.device)
    weights = drop(_weights(q, k, mask, None))
    mixed = (weights.to(v.dtype) @ v).permute(2, 0, 1, 3).flatten(2)
    output = F.linear(mixed, out_proj_weight, out_proj_bias)
    seen = weights.mean(dim=1) if average_attn_weights else weights
    if not batched:
        output, seen = output.squeeze(1), seen.squeeze(0)
    return output, seen if need_weights else None


def _weights(query: Tensor, key: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    """Softmax of the scaled, masked scores; a boolean mask is True where attention is allowed."""
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query * factor) @ key.transpose(-2, -1)
    if mask is not None:
        allowed = mask.dtype == torch.bool
        scores = scores.masked_fill(~mask, -math.inf) if allowed else scores + mask
    if mask is None:
        return torch.softmax(scores, dim=-1)
    nowhere = (scores == -math.inf).all(dim=-1, keepdim=True)  # torch gives such a row zeros
    return torch.softmax(scores.masked_fill(nowhere, 0.0), dim=-1).masked_fill(nowhere, 0.0)


def _causal(target: int, source: int, device: torch.device) -> Tensor:
    return torch.ones(target, source, dtype=torch.bool, device=device).tril()


def _merged_mask(
    attn_mask: Tensor | None, padding: Tensor | None, query: Tensor, source: int
) -> Tensor | None:
    """Both masks as one to add to the scores, ``[batch or 1, heads or 1, target or 1, source]``.

    In ``nn.MultiheadAttention`` a boolean mask is True where attention is *not* allowed. Masks are
    padded with 0 for the positions that ``bias_k`` and ``add_zero_attn`` append.
    """

    def added(mask: Tensor) -> Tensor:
        if mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill(mask, -math.inf)
        return F.pad(mask, (0, source - mask.shape[-1]))

    if attn_mask is not None:
        attn_mask = added(attn_mask)
        if attn_mask.dim() == 3:
            attn_mask = attn_mask.view(query.shape[0], -1, *attn_mask.shape[1:])
    if padding is None:
        return attn_mask
    padding = added(padding)[:, None, None]
    return padding if attn_mask is None else attn_mask + padding
