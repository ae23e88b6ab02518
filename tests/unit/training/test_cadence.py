"""When checkpoints are written, and how many are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from droptime.training import TrainConfig, train
from droptime.training.saving import checkpoint as checkpoints
from droptime.training.saving.cadence import Cadence

Tiny = Callable[..., TrainConfig]


class Clock:
    """A clock that goes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("droptime.training.saving.cadence.time.monotonic", made)
    return made


def test_by_steps(tiny: Tiny) -> None:
    cadence = Cadence(tiny(checkpoint_every=4), 0)
    assert [step for step in range(10) if cadence.due(step)] == [4, 8]
    cadence.saved(8)
    assert not cadence.due(8)
    assert cadence.due(12)


def test_by_minutes_since_the_last_one(tiny: Tiny, clock: Clock) -> None:
    cadence = Cadence(tiny(checkpoint_every=100, checkpoint_minutes=2.0), 7)
    clock.now += 119.9
    assert not cadence.due(8)
    clock.now += 0.1
    assert not cadence.due(7)  # no step was made
    assert cadence.due(8)
    cadence.saved(8)
    clock.now += 60.0
    assert not cadence.due(9)
    clock.now += 60.0
    assert cadence.due(9)


def test_a_run_saves_by_minutes_and_keeps_the_newest(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    saved: list[int] = []
    original = checkpoints.save

    def noted(folder: Path, checkpoint: checkpoints.Checkpoint, *, keep: int) -> Path:
        path = original(folder, checkpoint, keep=keep)
        saved.append(checkpoint.step)
        assert checkpoints.steps_saved(folder) == saved[-3:]
        return path

    def pass_time(event: object) -> None:
        clock.now += 25.0

    monkeypatch.setattr(checkpoints, "save", noted)
    config = tiny(checkpoint_every=1000, checkpoint_minutes=1.0, keep_checkpoints=3, log_every=1)
    train(config, tmp_path, listen=pass_time)
    assert saved == [2, 5, 8, 10, 13, 15]
