"""What a run says when a number is no longer finite: where, in which images, and what is left."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from droptime.errors import DivergedError, DroptimeError
from droptime.training.data.sources import load_sources
from droptime.training.data.stream import TrainStream
from droptime.training.saving.checkpoint import steps_saved
from droptime.training.settings.config import TrainConfig

_INDICES, _NAMES = 256, 4


def explain(error: DivergedError, *, checkpoints: Path, stream: TrainStream) -> DivergedError:
    """Return the error with the last good checkpoint and, if it has a step, that step's images."""
    saved = steps_saved(checkpoints)
    last = f"The last good checkpoint is after {saved[-1]} steps" if saved else "No checkpoint is"
    images = () if error.step is None else images_of(stream, error.step)
    batch = f" {describe_images(images, stream.config)}" if images else ""
    explained = DivergedError(
        f"{error} {last} in {checkpoints}. A lower lr, a longer warmup or clip_grad=1 may "
        f"help.{batch}"
    )
    explained.step, explained.images = error.step, images
    return explained


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
