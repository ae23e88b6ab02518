"""Augmentation of a whole batch on its device: crop, flip, RandAugment, erase, normalise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from droptime.training.data.rand_augment import RandAugment
from droptime.training.data.warps import random_resized_crop
from droptime.training.seeds import derive

_ERASED_AREA = (0.02, 1 / 3)
_ERASED_ASPECT = (0.3, 1 / 0.3)


@dataclass(frozen=True)
class Augment:
    """Turn uint8 images into normalised float ones, randomly cropped, flipped and erased.

    Args:
        mean: per channel, in 0..255.
        std: per channel, in 0..255.
        crop_padding: pixels of zeros around the image before a random crop of its own size.
        crop_scale: least area of a random part that is enlarged to the image's size.
        flip: chance of a horizontal flip.
        rand_augment: random operations on each image.
        erase: chance of a rectangle set to the mean; its area is 2% to 33% of the image and its
            aspect 0.3 to 3.3 (Zhong et al. 2020, random erasing).
        noise: fill that rectangle with normal noise instead.
    """

    mean: Tensor
    std: Tensor
    crop_padding: int = 0
    crop_scale: float | None = None
    flip: float = 0.0
    rand_augment: RandAugment | None = None
    erase: float = 0.0
    noise: bool = False

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return a float32 batch, every random number drawn from ``generator`` (on the device).

        Args:
            images: uint8 ``[batch, channels, height, width]``.
            generator: the only source of randomness; settings that are off draw nothing.
        """
        if self.crop_padding:
            images = random_crop(images, self.crop_padding, generator)
        if self.crop_scale is not None:
            images = random_resized_crop(images, self.crop_scale, generator)
        if self.flip:
            images = random_flip(images, self.flip, generator)
        if self.rand_augment is not None:
            seed = derive(generator.initial_seed(), "rand_augment")
            images = self.rand_augment(images, seed, fill=self.mean)
        batch = self.normalise(images)
        if not self.erase:
            return batch
        return random_erase(batch, self.erase, generator, noise=self.noise)

    def normalise(self, images: Tensor) -> Tensor:
        """Return ``(images - mean) / std`` as float32."""
        return images.to(torch.float32).sub_(_per_channel(self.mean)).div_(_per_channel(self.std))


def random_crop(images: Tensor, padding: int, generator: Generator) -> Tensor:
    """Pad with zeros and cut a random window of the images' own size, one per image."""
    height, width = images.shape[-2:]
    windows = F.pad(images, [padding] * 4).unfold(2, height, 1).unfold(3, width, 1)
    top, left = torch.randint(
        2 * padding + 1, (2, len(images)), generator=generator, device=images.device
    )
    return windows[torch.arange(len(images), device=images.device), :, top, left]


def random_flip(images: Tensor, chance: float, generator: Generator) -> Tensor:
    """Mirror each image left to right with the given chance."""
    flipped = _uniform(len(images), images.device, generator) < chance
    return torch.where(flipped[:, None, None, None], images.flip(3), images)


def random_erase(
    images: Tensor, chance: float, generator: Generator, *, noise: bool = False
) -> Tensor:
    """Set a random rectangle of each image to zero, or to normal noise, with the given chance."""
    count, _, height, width = images.shape
    draws = _uniform((5, count), images.device, generator)
    area = _between(draws[1], *_ERASED_AREA) * height * width
    aspect = torch.exp(_between(draws[2], *torch.tensor(_ERASED_ASPECT).log().tolist()))
    rows = _inside(height, (area * aspect).sqrt().round(), draws[3])
    columns = _inside(width, (area / aspect).sqrt().round(), draws[4])
    erased = (draws[0] < chance)[:, None, None] & rows[:, :, None] & columns[:, None, :]
    if not noise:
        return images.masked_fill(erased[:, None], 0.0)
    grain = torch.randn(images.shape, device=images.device, generator=generator)
    return torch.where(erased[:, None], grain, images)


def _inside(length: int, extent: Tensor, draw: Tensor) -> Tensor:
    """Return ``[batch, length]``: whether a position is in a random interval of that extent."""
    extent = extent.clamp(1, length)
    start = (draw * (length - extent + 1)).floor()
    positions = torch.arange(length, device=draw.device)
    return (positions >= start[:, None]) & (positions < (start + extent)[:, None])


def _between(draw: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * draw


def _uniform(shape: int | tuple[int, ...], device: torch.device, generator: Generator) -> Tensor:
    return torch.rand(shape, device=device, generator=generator)


def _per_channel(values: Tensor) -> Tensor:
    return values[:, None, None]
