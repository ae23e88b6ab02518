"""The two ways into a run: from a config, and from a plain dict in another process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from droptime.errors import MissingExtraError
from droptime.records import JSON, Summary, read_run
from droptime.training.events import Listener, nobody
from droptime.training.settings.changes import accept
from droptime.training.settings.config import TrainConfig

if TYPE_CHECKING:
    from droptime.training.trainer import Trainer

_EXTRA = ("timm", "torchvision", "accelerate", "safetensors")


def train(
    config: TrainConfig,
    out: str | os.PathLike[str],
    *,
    listen: Listener = nobody,
    allow_change: bool = False,
) -> Summary:
    """Train in the run directory ``out``: begin, go on, or return the summary if it is done.

    A run that was stopped goes on from its newest checkpoint, and on a CPU ends with the weights
    and rows it would have had without the stop, bit for bit. Nothing is printed. The random
    streams of the process are put back at the end.

    Args:
        config: what to train.
        out: the run directory; holds records, checkpoints and at the end ``model.safetensors``.
        listen: called with how the run begins and then with every row.
        allow_change: go on with a run of other settings where its weights and its place in the
            data allow it; ``config.json`` keeps what changed, and at which step.

    Raises:
        ConfigError: the settings cannot work, or ``out`` holds a run with others.
        DataError: the data set is missing, empty or malformed.
        SiteError: the model has no place for a curve.
        DivergedError: a loss or a weight is no longer finite.
        MissingExtraError: a library of the ``train`` extra is not installed.
        KeyboardInterrupt: Ctrl-C came; a checkpoint was written first.
        Preempted: SIGTERM or SIGUSR1 came; a checkpoint was written first. A SystemExit of code
            75, which asks schedulers to start the process again.
    """
    folder = Path(out)
    changed: dict[str, JSON] = {}
    if (folder / "config.json").exists():
        run = read_run(folder)
        changed = accept(config, run, allow_change=allow_change)
        if run.summary is not None:
            return run.summary
    trainer = _trainer()
    from droptime.training.seeds import undisturbed

    with undisturbed():
        return trainer(
            config, folder, listen=listen, changed=changed, allow_change=allow_change
        ).run()


def train_from_dict(config: Mapping[str, JSON], out: str) -> None:
    """Train from settings by name; for launchers, which pass plain values to other processes.

    Raises:
        DroptimeError: as :func:`train`.
    """
    train(TrainConfig.from_dict(config), out)


def _trainer() -> type[Trainer]:
    """Load what a run needs.

    Raises:
        MissingExtraError: a library of the ``train`` extra is not installed.
    """
    try:
        from droptime.training.trainer import Trainer
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in _EXTRA:
            raise
        raise MissingExtraError(library, "train", "Training") from error
    return Trainer
