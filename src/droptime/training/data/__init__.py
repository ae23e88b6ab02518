"""Data as training uses it: a train and a test split of labelled uint8 images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from droptime.errors import ConfigError, DataError
from droptime.training.config import TrainConfig
from droptime.training.data.by_image import Augmenting, ByImage
from droptime.training.data.digits import SIDE, load_digits
from droptime.training.data.folder import load_folder
from droptime.training.data.named import load_named
from droptime.training.data.packed import load_packed, load_sprites
from droptime.training.data.source import Source, Subset
from droptime.training.data.split import choose, hold_out
from droptime.training.data.store import Store, make_store, on_device
from droptime.training.data.tiny_imagenet import load_tiny_imagenet

_STATISTICS_FROM = 4096
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

_PLACES: Mapping[str, Callable[[Path], tuple[Source, Source | None]]] = {
    "folder": load_folder,
    "npz": load_packed,
    "sprites": load_sprites,
}
"""What may stand before the colon of ``data``, and its reader."""


@dataclass(frozen=True)
class Split:
    """Images and their labels, read by chunks of indices.

    Attributes:
        store: the images as they are measured on.
        labels: ``[n]``, on the device.
        augmenting: the images as timm's transforms change them, where those are used.
    """

    store: Store
    labels: Tensor
    augmenting: Augmenting | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, chunks: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (uint8 images ``[b, c, h, w]``, labels ``[b]``) on the device, chunk by chunk."""
        chunks = list(chunks)
        return self._labelled(chunks, self.store.batches(chunks))

    def augmented(
        self, chunks: Iterable[Tensor], seeds: Sequence[int]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the same after timm's transforms, each chunk's decided by its seed."""
        assert self.augmenting is not None
        chunks = list(chunks)
        return self._labelled(chunks, self.augmenting.batches(chunks, seeds))

    def _labelled(
        self, chunks: Sequence[Tensor], batches: Iterator[Tensor]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        indices = on_device(chunks, self.labels.device)
        for chunk, images in zip(indices, batches, strict=True):
            yield images, self.labels.index_select(0, chunk)

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once, in order; the last batch may be smaller."""
        return self.batches(torch.split(torch.arange(len(self)), batch_size))


@dataclass(frozen=True)
class ImageData:
    """A data set ready for training.

    Attributes:
        train: what is trained on.
        test: what is tested on.
        classes: class names.
        channels: 1 or 3.
        size: side of the square images in pixels.
        mean: per channel, in 0..255, over the training images (at most 4096, evenly spread).
        std: as the mean.
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    channels: int
    size: int
    mean: Tensor
    std: Tensor


def load_data(config: TrainConfig, *, expected_size: int, device: torch.device) -> ImageData:
    """Read, split and limit the data set that ``config`` names.

    Args:
        config: names the data and how much of it to use.
        expected_size: side of the images the model takes; ``config.image_size`` overrules it.
        device: where batches appear.

    Raises:
        DataError: the data set is missing, empty or malformed.
        ConfigError: a size or number of channels that does not suit the data.
    """
    train, test = load_sources(config)
    channels, size = shape(config, expected_size)
    stored = (len(train.labels) + len(test.labels)) * channels * size**2
    resident = stored <= config.memory_gb * 2**30
    splits = [
        Split(
            make_store(
                source,
                size=size,
                channels=channels,
                device=device,
                resident=resident,
                workers=config.workers,
                crop=config.test_crop,
            ),
            torch.from_numpy(source.labels).to(device),
        )
        for source in (train, test)
    ]
    mean, std = _statistics(splits[0], config, channels)
    if config.augment_on == "cpu":
        transform = ByImage(
            size=size,
            crop_scale=config.crop_scale,
            flip=config.flip,
            rand_augment=config.rand_augment,
            fill=tuple(round(value) for value in mean.tolist()),
        )
        by_image = Augmenting(train, channels, device, config.workers, transform)
        splits[0] = replace(splits[0], augmenting=by_image)
    return ImageData(splits[0], splits[1], train.classes, channels, size, mean, std)


def load_sources(config: TrainConfig) -> tuple[Source, Source]:
    """Read, split and limit the data set that ``config`` names; nothing is decoded yet.

    Raises:
        DataError: the data set is missing, empty or malformed.
    """
    return _limited(config, *read_sources(config))


def shape(config: TrainConfig, expected_size: int) -> tuple[int, int]:
    """Return the channels of the images and their side in pixels.

    Raises:
        ConfigError: a size or number of channels that does not suit the data.
    """
    channels = config.model_args.get("in_chans", 1 if config.data == "digits" else 3)
    if channels not in (1, 3):
        raise ConfigError(f"model_args in_chans={channels!r}: images have 1 or 3 channels.")
    size = config.image_size or expected_size
    if config.data == "digits" and config.image_size is None and size != SIDE:
        raise ConfigError(
            f"digits are {SIDE} x {SIDE} pixels and {config.model} takes {size} x {size}: choose "
            "a model for them, such as model_args img_size=8 patch_size=2 embed_dim=64 depth=4 "
            f"num_heads=4, or enlarge them with image_size={size}."
        )
    return channels, size


def read_sources(config: TrainConfig) -> tuple[Source, Source | None]:
    """Return the training set and, where the data has one, the set to test on.

    Raises:
        DataError: the data set is missing, empty or malformed.
    """
    if config.data == "digits":
        return load_digits(), None
    if config.data == "tiny_imagenet":
        return load_tiny_imagenet(Path(config.data_dir or ".").expanduser())
    kind, _, place = config.data.partition(":")
    if place and kind in _PLACES:
        return _PLACES[kind](Path(place).expanduser())
    return load_named(
        config.data,
        root=config.data_dir,
        splits=(config.train_split, config.test_split),
        download=config.download,
    )


def _limited(config: TrainConfig, train: Source, test: Source | None) -> tuple[Source, Source]:
    if test is None:
        kept, held = hold_out(train.labels, config.test_fraction, seed=config.data_seed)
        train, test = Subset(train, kept), Subset(train, held)
    return (
        _subset(train, config.train_limit, "train_limit", seed=config.data_seed),
        _subset(test, config.test_limit, "test_limit", seed=config.data_seed),
    )


def _subset(source: Source, limit: int | None, setting: str, *, seed: int) -> Source:
    if limit is None:
        return source
    try:
        return Subset(source, choose(source.labels, limit, seed=seed))
    except DataError as error:
        raise DataError(f"{setting}={limit}: {error}") from error


def _statistics(split: Split, config: TrainConfig, channels: int) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation of the pixels per channel, in 0..255.

    Raises:
        ConfigError: ImageNet's are asked for, for images that are not RGB.
    """
    if config.normalise == "data":
        return _measured(split)
    if config.normalise == "imagenet" and channels != 3:
        raise ConfigError('normalise="imagenet" is for RGB images: leave it at "data".')
    half = (0.5,) * channels
    values = _IMAGENET if config.normalise == "imagenet" else (half, half)
    mean, std = (255 * torch.tensor(each).to(split.labels.device) for each in values)
    return mean, std


def _measured(split: Split) -> tuple[Tensor, Tensor]:
    count = min(len(split), _STATISTICS_FROM)
    spread = torch.from_numpy(np.linspace(0, len(split) - 1, count).astype(np.int64))
    total = square = torch.zeros((), dtype=torch.float64)
    pixels = 0
    for images, _ in split.batches(torch.split(spread, 256)):
        values = images.cpu().double()
        total = total + values.sum((0, 2, 3))
        square = square + values.square().sum((0, 2, 3))
        pixels += values[:, 0].numel()
    mean = total / pixels
    std = (square / pixels - mean.square()).clamp_min(0).sqrt()
    if bool((std < 1e-3).any()):
        raise DataError("The training images hold one single colour: there is nothing to learn.")
    device = split.labels.device
    return mean.float().to(device), std.float().to(device)
