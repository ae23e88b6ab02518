"""Data as training uses it: a train and a test split of labelled uint8 images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import tee

import torch
from torch import Tensor

from droptime.errors import ConfigError
from droptime.training.data.by_image import Augmenting, ByImage
from droptime.training.data.digits import SIDE
from droptime.training.data.sources import load_sources
from droptime.training.data.statistics import statistics
from droptime.training.data.store import Resident, Store, make_store
from droptime.training.data.transfer import send
from droptime.training.settings.config import TrainConfig


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

    @property
    def in_memory(self) -> bool:
        """Whether batches come from decoded images."""
        return isinstance(self.store, Resident) and self.augmenting is None

    def batches(self, chunks: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (uint8 images ``[b, c, h, w]``, labels ``[b]``) on the device, chunk by chunk."""
        chunks, read = tee(chunks)
        return self._labelled(chunks, self.store.batches(read))

    def augmented(self, seeded: Iterable[tuple[Tensor, int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the same after timm's transforms, each chunk's decided by its seed."""
        assert self.augmenting is not None
        seeded, read = tee(seeded)
        return self._labelled((chunk for chunk, _ in seeded), self.augmenting.batches(read))

    def _labelled(
        self, chunks: Iterable[Tensor], batches: Iterator[Tensor]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for chunk, images in zip(chunks, batches, strict=True):
            yield images, self.labels.index_select(0, send(chunk, self.labels.device))


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
    known = statistics(splits[0].batches, len(splits[0]), config, channels=channels)
    mean, std = (values.to(device) for values in known)
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
