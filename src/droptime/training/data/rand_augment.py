"""RandAugment of a whole batch on its device: timm's operations, strengths and odds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from droptime.training.data import colours
from droptime.training.data.transfer import send
from droptime.training.data.warps import rotation, shear_and_shift, warp

Operation = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(images, level in [0, 10], sign, fill) -> images."""


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """A few random operations on each image, of a strength that grows with the magnitude.

    All fifteen operations of timm's "increasing" set, each chosen alike. Colours come out as
    Pillow's; turned, sheared and shifted images are interpolated bilinearly, where timm is asked
    for bicubic.

    Source: Cubuk et al. 2020; normal noise on the magnitude and the set are timm's.

    Attributes:
        magnitude: strength, 0 to 10.
        noise: standard deviation of the strength.
        layers: operations for each image.
        chance: that an operation chosen is applied.
    """

    magnitude: float = 10.0
    noise: float = 0.0
    layers: int = 2
    chance: float = 0.5

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read timm's spelling.

        >>> RandAugment.parse("rand-m9-mstd0.5-inc1")
        RandAugment(magnitude=9.0, noise=0.5, layers=2, chance=0.5)
        """
        given = dict(re.findall(r"-([a-z]+)(\d+(?:\.\d+)?)", text))
        return cls(
            magnitude=float(given.get("m", cls.magnitude)),
            noise=float(given.get("mstd", cls.noise)),
            layers=int(given.get("n", cls.layers)),
            chance=float(given.get("p", cls.chance)),
        )

    def __call__(self, images: Tensor, seed: int, *, fill: Tensor) -> Tensor:
        """Return augmented uint8 images, decided by the seed.

        What is done to which image is drawn on the CPU, so that a GPU is never waited for.

        Args:
            images: uint8 ``[batch, channels, height, width]``.
            seed: decides everything.
            fill: what comes in from outside the image, ``[channels]`` in 0..255.
        """
        draw = torch.Generator().manual_seed(seed)
        images = images.clone()
        for _ in range(self.layers):
            chosen = torch.randint(len(OPERATIONS), (len(images),), generator=draw)
            applied = torch.rand(len(images), generator=draw) < self.chance
            noise = self.noise * torch.randn(len(images), generator=draw)
            level = (self.magnitude + noise).clamp(0, 10)
            sign = 1.0 - 2.0 * (torch.rand(len(images), generator=draw) > 0.5)
            chosen = torch.where(applied, chosen, len(OPERATIONS))
            at = chosen.argsort(stable=True)
            counts = chosen.bincount(minlength=len(OPERATIONS) + 1).tolist()
            sent = (send(t, images.device) for t in (at, level[at], sign[at]))
            parts = (torch.split(t, counts) for t in sent)
            for operation, some, *how in zip(OPERATIONS.values(), *parts, strict=False):
                if len(some):
                    images[some] = operation(images[some], *how, fill)
        return images


def _enhanced(level: Tensor, sign: Tensor) -> Tensor:
    return (1 + sign * level * 0.09).clamp_min(0.1)


def _turned(images: Tensor, level: Tensor, sign: Tensor, fill: Tensor) -> Tensor:
    height, width = images.shape[2:]
    return warp(images, rotation(sign * level * 3, height=height, width=width), fill=fill)


def _moved(*, row: int, column: int) -> Operation:
    """Shear (0.3 at most), or shift where the column is the last (0.45 of the side at most)."""

    def move(images: Tensor, level: Tensor, sign: Tensor, fill: Tensor) -> Tensor:
        most = 0.45 * images.shape[3 - row] if column == 2 else 0.3
        matrix = shear_and_shift(sign * level / 10 * most, row=row, column=column)
        return warp(images, matrix, fill=fill)

    return move


OPERATIONS: Mapping[str, Operation] = {
    "AutoContrast": lambda images, level, sign, fill: colours.autocontrast(images),
    "Equalize": lambda images, level, sign, fill: colours.equalize(images),
    "Invert": lambda images, level, sign, fill: colours.invert(images),
    "Rotate": _turned,
    "PosterizeIncreasing": lambda images, level, sign, fill: colours.posterize(
        images, 4 - (level * 0.4).floor()
    ),
    "SolarizeIncreasing": lambda images, level, sign, fill: colours.solarize(
        images, 256 - (level * 25.6).floor()
    ),
    "SolarizeAdd": lambda images, level, sign, fill: colours.solarize_add(
        images, (level * 11).floor()
    ),
    "ColorIncreasing": lambda images, level, sign, fill: colours.colour(
        images, _enhanced(level, sign)
    ),
    "ContrastIncreasing": lambda images, level, sign, fill: colours.contrast(
        images, _enhanced(level, sign)
    ),
    "BrightnessIncreasing": lambda images, level, sign, fill: colours.brightness(
        images, _enhanced(level, sign)
    ),
    "SharpnessIncreasing": lambda images, level, sign, fill: colours.sharpness(
        images, _enhanced(level, sign)
    ),
    "ShearX": _moved(row=0, column=1),
    "ShearY": _moved(row=1, column=0),
    "TranslateXRel": _moved(row=0, column=2),
    "TranslateYRel": _moved(row=1, column=2),
}
"""Operation by timm's name for it."""
