"""Forwards of library modules that draw their own masks, with the rate read from a tensor.

Each takes the module, its rate and what the module's forward takes, and follows the same law. They
are traced under torch.compile while the rate is above 0; at all other times the module runs its own
code.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from droptime.layers.rate import TensorRate


def timm_drop_block(module: Any, rate: TensorRate, x: Tensor) -> Tensor:  # noqa: ANN401
    """Timm's ``DropBlock2d``: ``[batch, channels, height, width]``.

    A block may be centred anywhere; at the edge it is cut off. Source: Ghiasi et al. 2018.
    """
    batch, channels, *size = x.shape
    block = [min(module.block_size, length) for length in size]
    centres = _centres(rate, size, block) * module.gamma_scale
    seeds = _drawn(centres, (batch, 1 if module.couple_channels else channels, *size), x)
    dropped = F.max_pool2d(seeds, block, stride=1, padding=[b // 2 for b in block])
    rows, columns = ((b + 1) % 2 for b in block)  # an even block pools one row too many
    dropped = dropped[..., rows:, columns:]
    kept = 1 - dropped
    if module.with_noise:
        y = x * kept + torch.randn_like(kept) * dropped
    elif module.scale_by_keep:
        y = x * (kept * (kept.numel() / (kept.float().sum() + 1e-7)).to(x.dtype))
    else:
        y = x * kept
    return x.copy_(y) if module.inplace else y


def torchvision_drop_block(module: Any, rate: TensorRate, input: Tensor) -> Tensor:  # noqa: A002, ANN401
    """Torchvision's ``DropBlock2d`` and ``DropBlock3d``: ``[batch, channels, (depth,) ...]``.

    Blocks lie inside the map and have odd length. Source: Ghiasi et al. 2018.
    """
    batch, channels, *size = input.shape
    length = min(module.block_size, *size)
    block = [length] * len(size)
    inside = [side - length + 1 for side in size]
    seeds = _drawn(_centres(rate, size, block), (batch, channels, *inside), input)
    seeds = F.pad(seeds, [length // 2] * (2 * len(size)))
    pool = F.max_pool2d if len(size) == 2 else F.max_pool3d
    kept = 1 - pool(seeds, block, stride=1, padding=length // 2)
    y = input * kept * (kept.numel() / (module.eps + kept.float().sum())).to(input.dtype)
    return input.copy_(y) if module.inplace else y


def residual_drop(module: Any, rate: TensorRate, x: Tensor) -> Tensor:  # noqa: ANN401
    """Timm's ``ResidualDrop``: ``x`` plus its branch ``m``, dropped by sample."""
    branch: Tensor = module.m(x)
    return x + rate.drop(branch, (x.shape[0], *(1,) * (branch.ndim - 1)))


def _centres(rate: TensorRate, size: list[int], block: list[int]) -> Tensor:
    """DropBlock's gamma: how often a place must be a block's centre, 0-dim."""
    places = [side - length + 1 for side, length in zip(size, block, strict=True)]
    return rate.rate * (_product(size) / (_product(block) * _product(places)))


def _product(lengths: list[int]) -> float:
    product = 1.0
    for length in lengths:
        product = product * length
    return product


def _drawn(probability: Tensor, shape: tuple[int, ...], x: Tensor) -> Tensor:
    """1 with a probability, else 0, in the dtype of ``x``."""
    return (torch.rand(shape, dtype=torch.float32, device=x.device) < probability).to(x.dtype)
