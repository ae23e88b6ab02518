"""Where uint8 images wait to be batched: all in memory, or decoded when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from droptime.training.data.source import Source, decode_many
from droptime.training.data.transfer import send


class Store(Protocol):
    """Images by index, as uint8 batches on the device."""

    def batches(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield ``[len(chunk), channels, height, width]`` for each chunk of indices."""


@dataclass(frozen=True)
class Resident:
    """Every image decoded, in one uint8 tensor ``[n, channels, height, width]`` on the device."""

    images: Tensor

    def batches(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield ``[len(chunk), channels, height, width]`` for each chunk of indices."""
        for chunk in chunks:
            yield self.images.index_select(0, send(chunk, self.images.device))


@dataclass(frozen=True)
class Decoding:
    """Images decoded each time, in ``workers`` other processes if there are any.

    Decoding draws no random numbers, so batches are the same as a :class:`Resident` store's,
    whatever the number of workers.
    """

    source: Source
    size: int
    channels: int
    device: torch.device
    workers: int = 0
    crop: float = 1.0

    def batches(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield ``[len(chunk), channels, height, width]`` for each chunk of indices."""
        decoded = _Decoded(self.source, self.size, self.channels, self.crop)
        keys = (chunk.tolist() for chunk in chunks)
        for images in batch_loader(decoded, keys, workers=self.workers, device=self.device):
            yield images.to(self.device, non_blocking=True)


def batch_loader(
    data: Dataset[Tensor],
    keys: Iterable[Any],
    *,
    workers: int,
    device: torch.device,
) -> DataLoader[Tensor]:
    """Have ``data`` make a whole batch of each key, in other processes if there are workers.

    A key is made when a batch is asked for, or two batches ahead for each worker.
    """
    return DataLoader(
        data,
        batch_size=None,
        sampler=keys,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # else it draws from the stream of the dropout masks
    )


def make_store(
    source: Source,
    *,
    size: int,
    channels: int,
    device: torch.device,
    resident: bool,
    workers: int,
    crop: float = 1.0,
) -> Store:
    """Decode everything now, or prepare to decode on demand.

    Raises:
        DataError: an image cannot be read.
    """
    if resident:
        every = range(len(source.labels))
        pixels = decode_many(source, every, size=size, channels=channels, crop=crop)
        return Resident(torch.from_numpy(pixels).to(device))
    return Decoding(source, size, channels, device, workers, crop)


@dataclass(frozen=True)
class _Decoded(Dataset[Tensor]):
    source: Source
    size: int
    channels: int
    crop: float

    def __getitem__(self, indices: Sequence[int]) -> Tensor:
        return torch.from_numpy(
            decode_many(
                self.source, indices, size=self.size, channels=self.channels, crop=self.crop
            )
        )
