"""Find weights on disk: of a run, of one of its checkpoints, or of one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from droptime.errors import CheckpointError, ConfigError
from droptime.records import read_run
from droptime.training.saving.checkpoint import load, load_newest
from droptime.training.settings.config import TrainConfig

_FILES = {"raw": "model.safetensors", "ema": "ema.safetensors"}


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


def find_weights(path: Path) -> Found:
    """Find the weights of a run directory, of a checkpoint in it, or of one weight file.

    A run that is done has its last weights; one that is not has those of its newest checkpoint.

    Raises:
        ConfigError: the path is no run and in no run.
        CheckpointError: there are no weights yet, or they are torn or corrupt.
    """
    run = run_of(path)
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
        return Found(config, path, None, {kind: read_weights(path)})
    if (run / _FILES["raw"]).is_file():
        there = {kind: run / name for kind, name in _FILES.items() if (run / name).is_file()}
        weights = {kind: read_weights(file) for kind, file in there.items()}
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


def run_of(path: Path) -> Path | None:
    """Return the run directory that a path is or lies in; None if there is none."""
    near = (path, *path.parents[:2])
    return next((folder for folder in near if (folder / "config.json").is_file()), None)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        CheckpointError: it is missing, torn or of another format.
    """
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}.") from error
    return tensors
