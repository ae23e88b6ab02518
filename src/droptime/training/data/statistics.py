"""Mean and standard deviation that images are normalised by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from droptime.errors import ConfigError, DataError
from droptime.training.settings.config import TrainConfig

_MOST = 4096
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

Batches = Callable[[Iterable[Tensor]], Iterator[tuple[Tensor, Tensor]]]
"""Chunks of indices -> images and labels, chunk by chunk."""


def statistics(
    batches: Batches, count: int, config: TrainConfig, *, channels: int
) -> tuple[Tensor, Tensor]:
    """Return mean and deviation per channel, in 0..255, as ``config.normalise`` says.

    Those of the data are over at most 4096 training images, evenly spread.

    Args:
        batches: reads training images by their indices.
        count: how many there are.
        config: says which are wanted.
        channels: of the images.

    Raises:
        ConfigError: ImageNet's are asked for, for images that are not RGB.
        DataError: the images hold one single colour.
    """
    if config.normalise == "data":
        return _measured(batches, count)
    if config.normalise == "imagenet" and channels != 3:
        raise ConfigError('normalise="imagenet" is for RGB images: leave it at "data".')
    half = (0.5,) * channels
    values = _IMAGENET if config.normalise == "imagenet" else (half, half)
    mean, std = (255 * torch.tensor(each) for each in values)
    return mean, std


def _measured(batches: Batches, count: int) -> tuple[Tensor, Tensor]:
    spread = torch.from_numpy(np.linspace(0, count - 1, min(count, _MOST)).astype(np.int64))
    total = square = torch.zeros((), dtype=torch.float64)
    pixels = 0
    for images, _ in batches(torch.split(spread, 256)):
        values = images.cpu().double()
        total = total + values.sum((0, 2, 3))
        square = square + values.square().sum((0, 2, 3))
        pixels += values[:, 0].numel()
    mean = total / pixels
    std = (square / pixels - mean.square()).clamp_min(0).sqrt()
    if bool((std < 1e-3).any()):
        raise DataError("The training images hold one single colour: there is nothing to learn.")
    return mean.float(), std.float()
