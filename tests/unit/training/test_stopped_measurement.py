"""A measurement of gradients that does not come to its end: Ctrl-C, and a loss not finite."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from droptime.errors import DivergedError
from droptime.records import DynamicsRow
from droptime.training import Event, TrainConfig, train
from droptime.training.data.stream import Batch
from droptime.training.measuring import probing

Tiny = Callable[..., TrainConfig]


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Batch], Batch]], None]:
    """Return a function that changes what the mini-batches of measurements are from now on."""
    walk = probing.Shuffled.__iter__

    def change(batch: Callable[[Batch], Batch]) -> None:
        monkeypatch.setattr(probing.Shuffled, "__iter__", lambda self: map(batch, walk(self)))

    return change


def test_ctrl_c_stops_between_two_passes_of_a_measurement(
    tmp_path: Path, tiny: Tiny, during: Callable[[Callable[[Batch], Batch]], None]
) -> None:
    config = tiny(dropout="standard(0.3)", epochs=1, probe_every=2, probe_batches=3)
    train(config, tmp_path / "whole")
    passes = 0

    def press(batch: Batch) -> Batch:
        nonlocal passes
        passes += 1
        if passes == 2:
            signal.raise_signal(signal.SIGINT)
        return batch

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", listen=lambda e: _after(e, 0, lambda: during(press)))
    assert passes == 2
    during(lambda batch: batch)
    train(config, tmp_path / "run")
    for name in ("model.safetensors", "rows.jsonl"):
        found, expected = tmp_path / "run" / name, tmp_path / "whole" / name
        assert found.read_bytes() == expected.read_bytes()


def test_a_measurement_that_is_not_finite_names_the_last_good_checkpoint(
    tmp_path: Path, tiny: Tiny, during: Callable[[Callable[[Batch], Batch]], None]
) -> None:
    def spoil() -> None:
        during(lambda batch: (batch[0] * float("nan"), batch[1]))

    said = r"The loss is nan.* The last good checkpoint is after 8 steps in .*checkpoints"
    with pytest.raises(DivergedError, match=said):
        train(tiny(probe_every=4, probe_batches=3), tmp_path, listen=lambda e: _after(e, 4, spoil))


def _after(event: Event, step: int, do: Callable[[], None]) -> None:
    if isinstance(event, DynamicsRow) and event.step == step:
        do()
