"""A run's rows on their way to TensorBoard, Weights & Biases, MLflow or Trackio."""

from __future__ import annotations

from importlib.util import find_spec

from accelerate import Accelerator

from droptime.errors import MissingExtraError
from droptime.records import EvalRow, Row, StepRow
from droptime.training.settings.config import TrainConfig


def tracker_names(config: TrainConfig) -> list[str]:
    """Return the trackers that a run's settings name.

    Raises:
        MissingExtraError: the library of one is not installed.
    """
    names = config.trackers.split(",") if config.trackers else []
    for name in names:
        if find_spec(name) is None:
            raise MissingExtraError(name, name, f"trackers={name!r}")
    return names


class Trackers:
    """Hands every row to the trackers that a run's settings name, through Accelerate.

    Args:
        accelerator: of the run, which was told their names.
        config: of the run; trackers show it beside the curves.
    """

    def __init__(self, accelerator: Accelerator, config: TrainConfig) -> None:
        self._accelerator = accelerator
        if config.trackers:
            shown = {name: _shown(value) for name, value in config.to_dict().items()}
            accelerator.init_trackers("droptime", config=shown)

    def log(self, row: Row) -> None:
        """Hand a row on, at its step."""
        if self._accelerator.trackers:
            self._accelerator.log(values_of(row), step=row.step)

    def close(self) -> None:
        """Have the trackers write what they hold."""
        for tracker in self._accelerator.trackers:
            tracker.finish()


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
    return {f"gradients/{name}": estimate.value for name, estimate in row.values.items()}


def _shown(value: object) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)
