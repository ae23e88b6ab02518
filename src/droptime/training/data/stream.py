"""Training batches as a pure function of seed and step: where a run stands is one integer."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import tee
from typing import NamedTuple

import torch
from torch import Tensor

from droptime.errors import ConfigError
from droptime.training.data import ImageData
from droptime.training.data.ahead import one_ahead, room_beside_model
from droptime.training.data.augment import Augment
from droptime.training.data.mixing import Mixing
from droptime.training.data.rand_augment import RandAugment
from droptime.training.processes.ranks import Ranks
from droptime.training.seeds import derive
from droptime.training.settings.config import TrainConfig

Batch = tuple[Tensor, Tensor]
"""Normalised images ``[b, c, h, w]`` and targets: labels ``[b]`` or, mixed, ``[b, classes]``."""

_ALONE = Ranks()


class _Piece(NamedTuple):
    """The images of one backward pass of one process, and the place in the run that seeds it."""

    epoch: int
    place: int
    images: Tensor


def whole_batches(images: int, batch_size: int) -> int:
    """Return the optimizer steps of an epoch; an incomplete last batch is left out.

    Raises:
        ConfigError: there is not one.
    """
    if images < batch_size:
        raise ConfigError(
            f"batch_size={batch_size} is larger than the training set of {images} images: make it "
            "smaller."
        )
    return images // batch_size


@dataclass(frozen=True)
class TrainStream:
    """The batches of one run.

    Order, augmentation and mixing are drawn from streams of their own, seeded by the run's
    seed and the place of the batch. They are the same in every arm, and after a resume. A step's
    images fall into as many pieces as it has passes in all processes: two processes see what one
    with ``accumulate=2`` does.

    Args:
        data: the data set.
        config: its seed, batch size and augmentation.
        ranks: the processes that share each batch.

    Raises:
        ConfigError: one batch is larger than the training set or does not divide over the
            processes, or crops are larger than images.
    """

    data: ImageData
    config: TrainConfig
    ranks: Ranks = _ALONE

    def __post_init__(self) -> None:
        whole_batches(len(self.data.train), self.config.batch_size)
        settings, count = self.config, self.ranks.count
        given = f"batch_size={settings.batch_size} with accumulate={settings.accumulate}"
        if settings.batch_size % self.pieces:
            raise ConfigError(
                f"{given} does not divide over {count} processes: make batch_size a multiple of "
                f"{self.pieces}."
            )
        if settings.mixes and self.piece % 2:
            raise ConfigError(
                f"mixup and cutmix pair the images of a batch: {given} in {count} processes makes "
                f"{self.piece} images per backward pass, which is odd."
            )

    @property
    def pieces(self) -> int:
        """Backward passes of one optimizer step, of all processes together."""
        return self.config.accumulate * self.ranks.count

    @property
    def piece(self) -> int:
        """Images of one backward pass of one process."""
        return self.config.batch_size // self.pieces

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one epoch."""
        return whole_batches(len(self.data.train), self.config.batch_size)

    def order(self, epoch: int) -> Tensor:
        """Return the indices of the epoch's images in their order."""
        generator = torch.Generator().manual_seed(derive(self.config.seed, "order", epoch))
        return torch.randperm(len(self.data.train), generator=generator)

    def batches(self, *, first: int = 0) -> Generator[Batch, None, None]:
        """Yield this process's pieces of the run, from its optimizer step ``first`` on.

        What makes the next ones ahead does so over the end of an epoch too.
        """
        augmented = self._augmented(first)
        if self.data.train.in_memory and room_beside_model(self.data.mean.device):
            augmented = one_ahead(augmented)
        for piece, (images, labels) in augmented:
            if self._mixing is None:
                yield images, labels
            else:
                yield self._mixing(images, labels, self._seed("mix", piece))

    def _augmented(self, first: int) -> Iterator[tuple[_Piece, Batch]]:
        """Yield each piece, with its images augmented and normalised and their labels."""
        pieces, read = tee(self._pieces(first))
        generator = torch.Generator(self.data.mean.device)
        for piece, (images, labels) in zip(pieces, self._read(read), strict=True):
            generator.manual_seed(self._seed("augment", piece))
            yield piece, (self.augment(images, generator), labels)

    def _read(self, pieces: Iterator[_Piece]) -> Iterator[Batch]:
        if self.config.augment_on == "cpu":
            seeded = ((piece.images, self._seed("augment", piece)) for piece in pieces)
            return self.data.train.augmented(seeded)
        return self.data.train.batches(piece.images for piece in pieces)

    def _pieces(self, first: int) -> Iterator[_Piece]:
        begin, step = divmod(first, self.steps_per_epoch)
        for epoch in range(begin, self.config.epochs):
            whole = self.order(epoch)[: self.steps_per_epoch * self.config.batch_size]
            split = whole.reshape(-1, self.piece)
            start = step * self.pieces if epoch == begin else 0
            for place in range(start + self.ranks.index, len(split), self.ranks.count):
                yield _Piece(epoch, place, split[place])

    def _seed(self, purpose: str, piece: _Piece) -> int:
        return derive(self.config.seed, purpose, piece.epoch, piece.place)

    @cached_property
    def augment(self) -> Augment:
        """How batches are augmented and normalised."""
        settings = self.config
        whole = settings.augment_on == "device"  # else crop, flip and RandAugment are done
        rand = settings.rand_augment if whole else None
        return Augment(
            self.data.mean,
            self.data.std,
            crop_padding=settings.crop_padding,
            crop_scale=settings.crop_scale if whole else None,
            flip=settings.flip if whole else 0.0,
            rand_augment=RandAugment.parse(rand) if rand else None,
            erase=settings.erase,
            noise=settings.erase_with == "noise",
        )

    @cached_property
    def _mixing(self) -> Mixing | None:
        if not self.config.mixes:
            return None
        return Mixing(
            mixup=self.config.mixup,
            cutmix=self.config.cutmix,
            smoothing=self.config.smoothing,
            classes=len(self.data.classes),
            chance=self.config.mix_chance,
            switch=self.config.cutmix_share,
        )
