"""Which images a step was made of, for a run whose loss is no longer finite."""

from __future__ import annotations

from contextlib import suppress

from droptime.errors import DroptimeError
from droptime.training.config import TrainConfig
from droptime.training.data.sources import load_sources
from droptime.training.stream import TrainStream

_INDICES, _NAMES = 256, 4


def images_of(stream: TrainStream, step: int) -> tuple[int, ...]:
    """Return the indices, in the training set, of the images of one optimizer step."""
    epoch, place = divmod(step, stream.steps_per_epoch)
    size = stream.config.batch_size
    order: list[int] = stream.order(epoch)[place * size : (place + 1) * size].tolist()
    return tuple(order)


def describe_images(images: tuple[int, ...], config: TrainConfig) -> str:
    """Return a sentence with the indices, and what the data set calls the first few.

    The data set is opened again: this is for a run that has ended.
    """
    shown = ", ".join(map(str, images[:_INDICES]))
    more = f" and {len(images) - _INDICES} more" if len(images) > _INDICES else ""
    names = ""
    with suppress(DroptimeError, OSError):
        train, _ = load_sources(config)
        names = f"; the first are {', '.join(train.name(index) for index in images[:_NAMES])}"
    return f"Its batch was images {shown}{more} of the training set{names}."
