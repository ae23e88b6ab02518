"""Colour operations on a batch, each image with its own strength: Pillow's, pixel for pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it


def invert(images: Tensor) -> Tensor:
    """Return the negative; images here are uint8 ``[batch, channels, height, width]``."""
    return 255 - images


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest ``bits`` ``[batch]`` of every value."""
    lost = torch.pow(2, 8 - bits.to(torch.int16))
    return (images.to(torch.int16) // _each(lost) * _each(lost)).to(torch.uint8)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Return the negative of values from ``threshold`` ``[batch]`` on."""
    return torch.where(images < _each(threshold), images, 255 - images)


def solarize_add(images: Tensor, amount: Tensor) -> Tensor:
    """Add ``amount`` ``[batch]`` to values below 128."""
    raised = (images.to(torch.int16) + _each(amount).to(torch.int16)).clamp_max(255)
    return torch.where(images < 128, raised.to(torch.uint8), images)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Move away from black by ``factor`` ``[batch]``; 1 changes nothing."""
    return _blend(torch.zeros_like(images), images, factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Move away from the image's mean grey by ``factor`` ``[batch]``."""
    mean = _grey(images).double().mean((1, 2, 3), keepdim=True)
    return _blend((mean + 0.5).floor().to(torch.uint8), images, factor)


def colour(images: Tensor, factor: Tensor) -> Tensor:
    """Move away from the grey image by ``factor`` ``[batch]``."""
    return _blend(_grey(images), images, factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Move away from the smoothed image by ``factor`` ``[batch]``."""
    channels = images.shape[1]
    kernel = torch.ones(channels, 1, 3, 3, device=images.device)
    kernel[..., 1, 1] = 5
    sums = F.conv2d(images.float(), kernel, groups=channels)  # whole numbers: exact in TF32 too
    smooth = images.clone()
    smooth[..., 1:-1, 1:-1] = (sums / 13 + 0.5).to(torch.uint8)
    return _blend(smooth, images, factor)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch every channel to 0..255."""
    low, high = (images.amin((2, 3)).double(), images.amax((2, 3)).double())
    scale = torch.full_like(low, 255) / (high - low).clamp_min(1)  # 255 / x rounds twice
    table = torch.arange(256, device=images.device) * scale[..., None] - (low * scale)[..., None]
    return _look_up(images, table.clamp(0, 255), flat=high <= low)


def equalize(images: Tensor) -> Tensor:
    """Spread every channel's values evenly over 0..255."""
    flat = images.flatten(2).long()
    counts = torch.zeros(*flat.shape[:2], 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, flat, torch.ones_like(flat))
    highest = counts.gather(2, flat.amax(2, keepdim=True))[..., 0]
    step = (flat.shape[2] - highest) // 255
    below = counts.cumsum(2) - counts
    table = (step[..., None] // 2 + below) // step.clamp_min(1)[..., None]
    return _look_up(images, table.clamp_max(255), flat=step == 0)


def _look_up(images: Tensor, table: Tensor, *, flat: Tensor) -> Tensor:
    """Map each channel through its table ``[batch, channels, 256]``, but not where ``flat``."""
    same = torch.arange(256, device=images.device).expand_as(table)
    table = torch.where(flat[..., None], same, table.long())
    return table.gather(2, images.flatten(2).long()).view_as(images).to(torch.uint8)


def _blend(start: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    start = start.float()
    return (start + _each(factor) * (images.float() - start)).clamp(0, 255).to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    red, green, blue = images.int().unbind(1)
    grey = 19595 * red + 38470 * green + 7471 * blue + 0x8000
    return (grey >> 16).to(torch.uint8)[:, None]


def _each(values: Tensor) -> Tensor:
    return values[:, None, None, None]
