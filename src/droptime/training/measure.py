"""Measure the weights that a run left behind, on every image of its data once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from droptime.errors import CheckpointError, ConfigError
from droptime.records import read_run
from droptime.training.checkpoint import load, load_newest
from droptime.training.config import TrainConfig
from droptime.training.data import load_data
from droptime.training.data.augment import Augment
from droptime.training.devices import make_accelerator
from droptime.training.evaluate import evaluate
from droptime.training.model import build_model, expected_size

_FILES = {"raw": "model.safetensors", "ema": "ema.safetensors"}
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


@dataclass(frozen=True)
class Found:
    """Weights on disk, and the run they are of.

    Attributes:
        config: the run's settings.
        path: the file they were read from, or the first of them.
        step: optimizer steps done; None at the end of the run.
        weights: ``raw`` and, where the run has it, ``ema``.
    """

    config: TrainConfig
    path: Path
    step: int | None
    weights: Mapping[str, Mapping[str, Tensor]]


def measure(
    found: Found,
    *,
    splits: tuple[Literal["train", "test"], ...] = ("test",),
    batch_size: int = _BATCH,
) -> Iterator[Result]:
    """Yield the result of each set of weights on each split.

    Dropout is off, nothing is augmented; sums are kept in float64. Images are normalised as in
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
    config = found.config
    accelerator = make_accelerator(config)
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
            )
            correct = round(measured.accuracy * len(images))
            yield Result(name, split, len(images), correct, measured.accuracy, measured.loss)


def find_weights(path: Path) -> Found:
    """Find the weights of a run directory, of a checkpoint in it, or of one weight file.

    A run that is done has its last weights; one that is not has those of its newest checkpoint.

    Raises:
        ConfigError: the path is no run and in no run.
        CheckpointError: there are no weights yet, or they are torn or corrupt.
    """
    run = next((p for p in (path, *path.parents[:2]) if (p / "config.json").is_file()), None)
    if run is None or not path.exists():
        raise ConfigError(
            f"{path} is no run directory and no file of one: expected a folder with config.json, "
            "one of its checkpoints or its model.safetensors."
        )
    config = TrainConfig.from_dict(read_run(run).config)
    if path.is_file() and path.parent.name == "checkpoints":
        digits = path.stem.removeprefix("step-")
        if not digits.isdecimal():
            raise ConfigError(f"{path} is no checkpoint: expected step-NNNNNNNN.safetensors.")
        return _of_checkpoint(config, path.parent, int(digits))
    if path.is_file():
        kind = next((kind for kind, name in _FILES.items() if name == path.name), "raw")
        return Found(config, path, None, {kind: _read(path)})
    if (run / _FILES["raw"]).is_file():
        there = {kind: run / name for kind, name in _FILES.items() if (run / name).is_file()}
        weights = {kind: _read(file) for kind, file in there.items()}
        return Found(config, run / _FILES["raw"], None, weights)
    return _of_checkpoint(config, run / "checkpoints", None)


def _of_checkpoint(config: TrainConfig, folder: Path, step: int | None) -> Found:
    if step is None:
        checkpoint, problems = load_newest(folder)
        if checkpoint is None:
            why = " ".join(problems) or "it has no checkpoint yet."
            raise CheckpointError(f"{folder.parent} has no weights to measure: {why}")
    else:
        checkpoint = load(folder, step)
    by_kind = {"raw": "model.", "ema": "ema."}
    weights = {
        kind: {
            name.removeprefix(prefix): value
            for name, value in checkpoint.tensors.items()
            if name.startswith(prefix)
        }
        for kind, prefix in by_kind.items()
    }
    path = folder / f"step-{checkpoint.step:08d}.safetensors"
    return Found(config, path, checkpoint.step, {k: v for k, v in weights.items() if v})


def _read(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}.") from error
    return tensors
