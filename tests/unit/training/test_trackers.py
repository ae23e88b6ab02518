"""A run's rows in a tracker's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from droptime.errors import ConfigError, MissingExtraError
from droptime.records import Row, read_run
from droptime.training import train
from droptime.training.trackers import values_of
from tests.unit.training.conftest import Tiny


@pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard")
def test_tensorboard_shows_every_row(tiny: Tiny, tmp_path: Path) -> None:
    accumulator: Any = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    ).EventAccumulator
    train(tiny(dropout="early(0.2, until=50%)", trackers="tensorboard", epochs=1), tmp_path)
    events = accumulator(str(tmp_path / "droptime"))
    events.Reload()
    shown = {
        (name, event.step): event.value
        for name in events.Tags()["scalars"]
        for event in events.Scalars(name)
    }
    run = read_run(tmp_path)
    rows: list[Row] = [*run.steps, *run.evals]
    kept = {(name, row.step): value for row in rows for name, value in values_of(row).items()}
    assert shown == pytest.approx(kept)


def test_a_tracker_that_is_not_there(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match="trackio"):
        train(tiny(trackers="trackio"), tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_a_tracker_that_is_not_known(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="expected some of tensorboard, wandb, mlflow, trackio"):
        tiny(trackers="tensorboard,aim")
