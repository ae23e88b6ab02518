"""Training batches as a pure function of seed and step: where a run stands is one integer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

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

    def epoch(self, epoch: int, *, first: int = 0) -> Iterator[Batch]:
        """Yield this process's pieces of an epoch, from its optimizer step ``first`` on."""
        total = self.steps_per_epoch * self.pieces
        own = range(first * self.pieces + self.ranks.index, total, self.ranks.count)
        batches = self._augmented(epoch, own)
        if self.data.train.in_memory and room_beside_model(self.data.mean.device):
            batches = one_ahead(batches)
        for place, (images, labels) in zip(own, batches, strict=True):
            if self._mixing is None:
                yield images, labels
            else:
                yield self._mixing(images, labels, derive(self.config.seed, "mix", epoch, place))

    def _augmented(self, epoch: int, places: range) -> Iterator[Batch]:
        """Yield the images of some pieces, augmented and normalised, and their labels."""
        end = self.steps_per_epoch * self.config.batch_size
        order = self.order(epoch)[:end].reshape(-1, self.piece)[list(places)]
        seeds = [derive(self.config.seed, "augment", epoch, place) for place in places]
        if self.config.augment_on == "cpu":
            batches = self.data.train.augmented(order, seeds)
        else:
            batches = self.data.train.batches(order)
        generator = torch.Generator(self.data.mean.device)
        for seed, (images, labels) in zip(seeds, batches, strict=True):
            yield self.augment(images, generator.manual_seed(seed)), labels

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
