"""timm's own training transforms, one image at a time, on the processes that decode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from timm.data.auto_augment import RandAugment, posterize, rand_augment_transform
from timm.data.transforms import RandomResizedCropAndInterpolation
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import Compose, RandomHorizontalFlip

from droptime.training.data.source import Source, open_image, square, to_pixels
from droptime.training.data.store import batch_loader
from droptime.training.seeds import derive, seed_cpu_streams, undisturbed


@dataclass(frozen=True, kw_only=True)
class ByImage:
    """Random resized crop, flip and RandAugment of one image, decided by a seed.

    Attributes:
        size: side of the result in pixels.
        crop_scale: least area of the part cut out; None: the centred square.
        flip: chance of a horizontal flip.
        rand_augment: timm's text for it; None: none.
        fill: colour that comes in from outside, per channel in 0..255.
    """

    size: int
    crop_scale: float | None
    flip: float
    rand_augment: str | None
    fill: tuple[int, ...]

    def __call__(self, image: Image.Image, seed: int) -> Image.Image:
        """Return the augmented image; the process's random streams are left as it used them."""
        if self.crop_scale is None:
            image = square(image, self.size)
        seed_cpu_streams(seed)
        changed: Image.Image = self._transform(image)
        return changed

    @cached_property
    def _transform(self) -> Compose:
        steps = []
        if self.crop_scale is not None:
            steps += [
                RandomResizedCropAndInterpolation(
                    self.size, scale=(self.crop_scale, 1.0), interpolation="bicubic"
                )
            ]
        if self.flip:
            steps += [RandomHorizontalFlip(self.flip)]
        if self.rand_augment is not None:
            params = {
                "translate_const": int(self.size * 0.45),
                "img_mean": self.fill if len(self.fill) > 1 else self.fill[0],
                "interpolation": Image.Resampling.BICUBIC,
            }
            steps += [_keeping_no_bit(rand_augment_transform(self.rand_augment, params))]
        return Compose(steps)


def _keeping_no_bit(transform: RandAugment) -> RandAugment:
    """Let posterize keep 0 bits at magnitude 10: black, where newer Pillow refuses."""
    for operation in transform.ops:
        if operation.name.startswith("Posterize"):
            operation.aug_fn = _posterize
    return transform


def _posterize(image: Image.Image, bits_to_keep: int, **_: object) -> Image.Image:
    if bits_to_keep == 0:
        return Image.new(image.mode, image.size)
    kept: Image.Image = posterize(image, bits_to_keep)
    return kept


@dataclass(frozen=True)
class Augmenting:
    """Images augmented each time they are decoded, in ``workers`` processes if there are any.

    Each image has a seed of its own, so that batches are the same for any number of workers.
    """

    source: Source
    channels: int
    device: torch.device
    workers: int
    transform: ByImage

    def batches(self, seeded: Iterable[tuple[Tensor, int]]) -> Iterator[Tensor]:
        """Yield uint8 ``[len(chunk), channels, size, size]`` for each chunk and its seed."""
        augmented = _Augmented(self.source, self.channels, self.transform)
        keys = (
            [(index, derive(seed, place)) for place, index in enumerate(chunk.tolist())]
            for chunk, seed in seeded
        )
        for images in batch_loader(augmented, keys, workers=self.workers, device=self.device):
            yield images.to(self.device, non_blocking=True)


@dataclass(frozen=True)
class _Augmented(Dataset[Tensor]):
    source: Source
    channels: int
    transform: ByImage

    def __getitem__(self, keys: Sequence[tuple[int, int]]) -> Tensor:
        side = self.transform.size
        pixels = np.empty((len(keys), self.channels, side, side), dtype=np.uint8)
        with undisturbed():
            for place, (index, seed) in enumerate(keys):
                image = open_image(self.source, index, channels=self.channels)
                pixels[place] = to_pixels(self.transform(image, seed))
        return torch.from_numpy(pixels)
