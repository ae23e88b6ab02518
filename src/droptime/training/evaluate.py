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

_BATCH = 256


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
    """

    data: ImageData
    normalise: Callable[[Tensor], Tensor]
    batch_size: int = _BATCH
    precision: Callable[[], AbstractContextManager[object]] = nullcontext

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
) -> Measured:
    """Measure the model on a split, un-augmented, in eval mode; its modes are put back.

    Sums are kept in float64 on the device and read once, at the end.

    Args:
        model: maps normalised images to logits ``[batch, classes]``.
        split: what to measure on.
        normalise: turns uint8 images into the model's input.
        batch_size: images per forward; the last batch may be smaller.
        precision: makes the context each forward runs in.
        between: called before every batch; may raise to stop.
    """
    total = torch.zeros(2, dtype=torch.float64, device=split.labels.device)
    with torch.no_grad(), eval_mode(model):
        for images, labels in split.in_order(batch_size):
            between()
            with precision():
                logits = model(normalise(images))
            loss = F.cross_entropy(logits.float(), labels, reduction="sum")
            right = (logits.argmax(dim=1) == labels).sum()
            total += torch.stack([loss.double(), right.double()])
    loss_sum, right_sum = total.tolist()
    return Measured(loss_sum / len(split), right_sum / len(split))


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
