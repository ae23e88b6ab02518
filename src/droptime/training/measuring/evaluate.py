"""Loss and accuracy over a whole split: exact, with dropout off, every image once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from droptime.records import EvalRow
from droptime.training.data import ImageData, Split
from droptime.training.processes.ranks import Ranks

_BATCH = 256
_ALONE = Ranks()


@dataclass(frozen=True)
class Measured:
    """Mean cross-entropy in nats and the fraction of images classified right, in [0, 1]."""

    loss: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """Makes the evaluation row of a model on both splits.

    Args:
        data: what to measure on.
        normalise: turns uint8 images into the model's input.
        batch_size: images per forward; never fewer than 256.
        precision: makes the context each forward runs in.
        ranks: the processes that share the images.
    """

    data: ImageData
    normalise: Callable[[Tensor], Tensor]
    batch_size: int = _BATCH
    precision: Callable[[], AbstractContextManager[object]] = nullcontext
    ranks: Ranks = _ALONE

    def row(
        self,
        model: nn.Module,
        *,
        step: int,
        epoch: float,
        weights: str,
        between: Callable[[], None] = lambda: None,
    ) -> EvalRow:
        """Measure the model after ``step``."""
        train, test = (
            evaluate(
                model,
                split,
                normalise=self.normalise,
                batch_size=max(self.batch_size, _BATCH),
                precision=self.precision,
                between=between,
                ranks=self.ranks,
            )
            for split in (self.data.train, self.data.test)
        )
        return EvalRow(step, epoch, train.loss, train.accuracy, test.loss, test.accuracy, weights)


def evaluate(
    model: nn.Module,
    split: Split,
    *,
    normalise: Callable[[Tensor], Tensor],
    batch_size: int,
    precision: Callable[[], AbstractContextManager[object]] = nullcontext,
    between: Callable[[], None] = lambda: None,
    ranks: Ranks = _ALONE,
) -> Measured:
    """Measure the model on a split, un-augmented, in eval mode; its modes are put back.

    Sums are kept in float64 on the device and read once, at the end. Several processes share the
    images: each counts once, and every process gets the result and makes as many forwards.

    Args:
        model: maps normalised images to logits ``[batch, classes]``.
        split: what to measure on.
        normalise: turns uint8 images into the model's input.
        batch_size: images per forward; the last batch may be smaller.
        precision: makes the context each forward runs in.
        between: called before every batch; may raise to stop.
        ranks: the processes that share the images.
    """
    total = torch.zeros(2, dtype=torch.float64, device=split.labels.device)
    with torch.no_grad(), eval_mode(model):
        shares, counts = _shares(len(split), batch_size, ranks)
        for (images, labels), count in zip(split.batches(shares), counts, strict=True):
            between()
            with precision():
                logits = model(normalise(images))[:count]
            loss = F.cross_entropy(logits.float(), labels[:count], reduction="sum")
            right = (logits.argmax(dim=1) == labels[:count]).sum()
            total += torch.stack([loss.double(), right.double()])
    loss_sum, right_sum = ranks.total(total).tolist()
    return Measured(loss_sum / len(split), right_sum / len(split))


def _shares(images: int, batch_size: int, ranks: Ranks) -> tuple[list[Tensor], list[int]]:
    """Return this process's part of each batch of all, and how many of its images count.

    A process whose part is empty takes an image that does not count: a sharded model computes in
    all processes or in none.
    """
    batches = torch.split(torch.arange(images), batch_size * ranks.count)
    parts = [batch.tensor_split(ranks.count)[ranks.index] for batch in batches]
    return [part if len(part) else part.new_zeros(1) for part in parts], [len(p) for p in parts]


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode, and every module back in its own mode after."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
