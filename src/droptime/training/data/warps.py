"""Images seen through a linear map, each its own: the resized crop, rotation, shear, shift."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

_RATIO = (3 / 4, 4 / 3)
_TRIES = 10


def warp(
    images: Tensor,
    matrix: Tensor,
    *,
    fill: Tensor | None,
    mode: Literal["bilinear", "bicubic"] = "bilinear",
) -> Tensor:
    """Return uint8 images whose pixel at (x, y) is the old one at ``matrix @ (x, y, 1)``.

    Args:
        images: uint8 ``[batch, channels, height, width]``.
        matrix: ``[batch, 2, 3]``, in pixels; the middle of the first pixel is (0.5, 0.5).
        fill: what lies outside, ``[channels]`` in 0..255; None: the nearest pixel.
        mode: how values between pixels are found.
    """
    height, width = images.shape[2:]
    x, y = (torch.arange(length, device=images.device) + 0.5 for length in (width, height))
    points = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1)
    moved = points.view(1, -1, 2) @ matrix[:, :, :2].mT + matrix[:, None, :, 2]
    across, down = moved.unbind(2)
    grid = torch.stack([2 * across / width - 1, 2 * down / height - 1], -1)
    seen = images.float()
    if fill is not None:
        seen -= fill[:, None, None]
    values = F.grid_sample(
        seen,
        grid.view(len(images), height, width, 2),
        mode=mode,
        padding_mode="border" if fill is None else "zeros",
        align_corners=False,
    )
    if fill is not None:
        values += fill[:, None, None]
    return values.round_().clamp_(0, 255).to(torch.uint8)


def random_resized_crop(images: Tensor, least: float, generator: Generator) -> Tensor:
    """Cut a random part of each image and enlarge it to the image's size (bicubic).

    The part's area is ``least`` to 1 of the image's, its aspect 3/4 to 4/3; the first of ten draws
    that fits is taken, else the whole image (Szegedy et al. 2015, as timm has it).
    """
    count, _, height, width = images.shape
    draws = torch.rand((4, _TRIES, count), device=images.device, generator=generator)
    area = (least + (1 - least) * draws[0]) * height * width
    low, high = map(math.log, _RATIO)
    aspect = torch.exp(low + (high - low) * draws[1])
    across, down = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (across <= width) & (down <= height)
    first = fits.int().argmax(0, keepdim=True)
    across, down, x, y = (t.gather(0, first)[0] for t in (across, down, draws[2], draws[3]))
    found = fits.any(0)
    across = torch.where(found, across, width)
    down = torch.where(found, down, height)
    left, top = (x * (width - across + 1)).floor(), (y * (height - down + 1)).floor()
    zero = torch.zeros_like(left)
    rows = [
        torch.stack(row, -1) for row in ((across / width, zero, left), (zero, down / height, top))
    ]
    return warp(images, torch.stack(rows, 1), fill=None, mode="bicubic")


def rotation(degrees: Tensor, *, height: int, width: int) -> Tensor:
    """Return the matrices ``[batch, 2, 3]`` that turn images about their middle."""
    angle = -torch.deg2rad(degrees)
    cos, sin = angle.cos(), angle.sin()
    x, y = width / 2, height / 2
    first = torch.stack([cos, sin, x - cos * x - sin * y], -1)
    second = torch.stack([-sin, cos, y + sin * x - cos * y], -1)
    return torch.stack([first, second], 1)


def shear_and_shift(amount: Tensor, *, row: int, column: int) -> Tensor:
    """Return identity matrices ``[batch, 2, 3]`` with ``amount`` at one place."""
    matrix = torch.eye(2, 3, device=amount.device).repeat(len(amount), 1, 1)
    matrix[:, row, column] = amount
    return matrix
