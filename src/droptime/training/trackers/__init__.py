"""A run's rows on their way to TensorBoard, Weights & Biases, MLflow or Trackio."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

from accelerate import Accelerator
from accelerate.tracking import GeneralTracker, get_available_trackers

from droptime.errors import ConfigError, MissingExtraError
from droptime.records import EvalRow, Row, StepRow, write_atomic
from droptime.training.settings.config import TrainConfig
from droptime.training.trackers.kinds import begin, end, id_of, takes_settings_again


def tracker_names(config: TrainConfig) -> list[str]:
    """Return the trackers that a run's settings name.

    Raises:
        MissingExtraError: the library of one is not installed.
    """
    names = config.trackers.split(",") if config.trackers else []
    installed = [str(kind) for kind in get_available_trackers()]
    for name in names:
        if name not in installed:
            raise MissingExtraError(name, name, f"trackers={name!r}")
    return names


class Trackers:
    """Hands every row of a run to the trackers that its settings name, from its first process.

    ``trackers.json`` in the run directory keeps what each calls the run, so that a run that goes
    on is one run there too. A tracker that fails on the way gets no more rows, with a warning:
    the record has them all.

    Args:
        accelerator: of the run; its ``project_dir`` is the run directory.
        config: of the run; trackers show it beside the curves.

    Raises:
        ConfigError: a tracker does not start.
    """

    def __init__(self, accelerator: Accelerator, config: TrainConfig) -> None:
        self._started: list[GeneralTracker] = []
        if config.trackers and accelerator.is_main_process:
            self._out = Path(accelerator.project_dir)
            self._start(config)
        self._listening = list(self._started)

    def _start(self, config: TrainConfig) -> None:
        shown = {name: _shown(value) for name, value in config.to_dict().items()}
        file = self._out / "trackers.json"
        ids: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        for name in tracker_names(config):
            try:
                tracker = begin(name, self._out, ids.get(name))
                self._started.append(tracker)
                if name not in ids or takes_settings_again(name):
                    tracker.store_init_configuration(shown)
            except Exception as error:
                self.close()
                cure = f" For another run there, take {name} out of {file}." if name in ids else ""
                raise ConfigError(
                    f"trackers={config.trackers!r}: {name} does not start: {error}\n"
                    f"Mend that, or leave {name} out.{cure}"
                ) from error
            ids[name] = id_of(tracker)
        write_atomic(file, json.dumps(ids, indent=2) + "\n")

    def log(self, row: Row) -> None:
        """Hand a row on, at its step."""
        for tracker in tuple(self._listening):
            try:
                tracker.log(values_of(row), step=row.step)
            except Exception as error:  # a server that is down ends no run
                self._listening.remove(tracker)
                warnings.warn(
                    f"{tracker.name} gets no more rows, from step {row.step} on: {error}\n"
                    "The record has them all.",
                    stacklevel=2,
                )

    def close(self) -> None:
        """Have the trackers write what they hold, and show whether the run has finished."""
        for tracker in self._started:
            try:
                end(tracker, finished=(self._out / "summary.json").exists())
            except Exception as error:
                warnings.warn(f"{tracker.name} does not end well: {error}", stacklevel=2)


def values_of(row: Row) -> dict[str, float]:
    """Return the numbers of a row by the names that trackers group curves by.

    >>> values_of(StepRow(step=4, epoch=1.0, loss=2.5, lr=1e-3, rates={"dropout": 0.1}))
    {'train/loss': 2.5, 'train/lr': 0.001, 'rates/dropout': 0.1}
    """
    if isinstance(row, StepRow):
        rates = {f"rates/{name}": rate for name, rate in row.rates.items()}
        return {"train/loss": row.loss, "train/lr": row.lr, **rates}
    if isinstance(row, EvalRow):
        names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
        return {f"{row.weights}/{name}": getattr(row, name) for name in names}
    groups = {f"gradients/{_plain(name)}": part for name, part in row.groups.items()}
    return {
        f"{place}/{name}": estimate.value
        for place, values in {"gradients": row.values, **groups}.items()
        for name, estimate in values.items()
    }


def _plain(name: str) -> str:
    """Return the name of a group of parameters as every tracker takes it, without stars."""
    return re.sub(r"[^\w.-]", "_", name)


def _shown(value: object) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)
