"""Measure the weights that a run left behind, on every image of its data once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from droptime.errors import CheckpointError
from droptime.training.data import load_data
from droptime.training.data.augment import Augment
from droptime.training.measuring.evaluate import evaluate
from droptime.training.models.build import build_model, expected_size
from droptime.training.processes.devices import make_accelerator
from droptime.training.processes.ranks import Ranks
from droptime.training.saving.weights import Found

_BATCH = 256


@dataclass(frozen=True)
class Result:
    """How one set of weights does on one split.

    Attributes:
        weights: ``raw`` or ``ema`` (their average).
        split: ``train`` or ``test``.
        images: how many were measured: every one of the split, once.
        correct: how many of them were classified right.
        accuracy: their fraction, in [0, 1].
        loss: mean cross-entropy in nats.
    """

    weights: str
    split: str
    images: int
    correct: int
    accuracy: float
    loss: float


def measure(
    found: Found,
    *,
    splits: tuple[Literal["train", "test"], ...] = ("test",),
    batch_size: int = _BATCH,
) -> Iterator[Result]:
    """Yield the result of each set of weights on each split.

    As :func:`~droptime.training.measuring.evaluate.evaluate` does. Images are normalised as in
    training: with ``normalise="data"`` by the mean and deviation of the training images.

    Args:
        found: what is measured.
        splits: ``test``, ``train`` or both.
        batch_size: images per forward; the last may be smaller, none comes twice.

    Raises:
        DataError: the data is missing or malformed.
        ConfigError: the model cannot take the data.
        CheckpointError: the weights are of another model, or the data has other classes.
    """
    config = replace(found.config, shard=False)  # whole weights are measured
    accelerator = make_accelerator(config)
    ranks = Ranks.of_this_process()
    data = load_data(config, expected_size=expected_size(config), device=accelerator.device)
    model = build_model(config, data).to(accelerator.device)
    normalise = Augment(data.mean, data.std).normalise
    for name, weights in found.weights.items():
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            what = " ".join(str(error).split())
            raise CheckpointError(f"{found.path} does not fit {config.model}: {what}") from error
        for split in splits:
            images = getattr(data, split)
            measured = evaluate(
                model,
                images,
                normalise=normalise,
                batch_size=batch_size,
                precision=accelerator.autocast,
                ranks=ranks,
            )
            correct = round(measured.accuracy * len(images))
            yield Result(name, split, len(images), correct, measured.accuracy, measured.loss)
