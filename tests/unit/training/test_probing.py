"""A run that measures its gradients: the rows it makes, and that it ends as one that does not."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from droptime.dynamics import distance_from, dropout_off, snapshot
from droptime.errors import ConfigError, DataError, DivergedError
from droptime.records import DynamicsRow, Run, read_run
from droptime.training import Event, TrainConfig, probing, train
from droptime.training.stream import Batch
from droptime.training.trainer import Trainer

Tiny = Callable[..., TrainConfig]


def _run(config: TrainConfig, folder: Path) -> Run:
    train(config, folder)
    return read_run(folder)


@pytest.mark.parametrize("dropout", [None, "standard(0.3)"])
def test_a_measured_run_is_the_same_run(tmp_path: Path, tiny: Tiny, dropout: str | None) -> None:
    config = tiny(dropout=dropout)
    plain = _run(config, tmp_path / "plain")
    probed = _run(replace(config, probe_every=4, probe_batches=3), tmp_path / "probed")
    assert plain.dynamics == ()
    assert plain.steps == probed.steps
    assert plain.evals == probed.evals
    weights = [run.path / "model.safetensors" for run in (plain, probed)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_the_beginning_is_measured_more_densely(tmp_path: Path, tiny: Tiny) -> None:
    rows = _run(tiny(dropout="standard(0.3)", probe_every=6, probe_batches=3), tmp_path).dynamics
    assert [row.step for row in rows] == [0, 1, 2, 4, 6, 12, 15]
    assert rows[-1].epoch == 3.0
    assert {(row.batches, row.batch_size, row.halved) for row in rows} == {(3, 16.0, True)}
    assert rows[0].values["distance"].value == 0
    assert rows[-1].values["distance"].value > 0
    for row in rows:
        within = row.values["error"].value - row.values["error_without"].value
        assert row.values["error_effect"].value == pytest.approx(within)
        assert row.values["error_effect"].value != 0


def test_without_dropout_its_effect_is_zero(tmp_path: Path, tiny: Tiny) -> None:
    for row in _run(tiny(probe_every=8, probe_batches=2, probe_reference=3), tmp_path).dynamics:
        assert row.values["variance_effect"].value == 0
        assert row.values["error_effect"].value == 0


def test_what_cannot_be_measured_is_said(tmp_path: Path, tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="probe_batches"):
        tiny(probe_every=4, probe_batches=1)
    with pytest.raises(DataError, match="fewer than batches=32"):
        train(tiny(probe_every=4), tmp_path)


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


def test_values_are_those_of_a_plain_loop(tmp_path: Path, tiny: Tiny) -> None:
    """GDE and norm of other mini-batches by autograd alone agree; the distance is exact."""
    config = tiny(dropout="standard(0.3)", epochs=1, probe_every=5, probe_batches=5)
    rows = _run(config, tmp_path).dynamics
    fresh = Trainer(config, tmp_path, listen=lambda _: None)
    model, start = fresh.engine.bare, snapshot(fresh.engine.bare)
    images, labels = next(fresh.data.train.in_order(80))

    def gradient(chunk: Tensor) -> Tensor:
        logits = model(fresh.stream.augment.normalise(images[chunk]))
        loss = F.cross_entropy(logits, labels[chunk], label_smoothing=config.smoothing)
        found = torch.autograd.grad(loss, list(model.parameters()))
        return torch.cat([piece.flatten() for piece in found]).double()

    with dropout_off(model):
        whole = gradient(torch.arange(80))
    drawn = torch.Generator().manual_seed(0)
    many = [gradient(torch.randperm(80, generator=drawn)[:16]) for _ in range(60)]
    plain = {
        "error": torch.stack([(1 - torch.cosine_similarity(g, whole, dim=0)) / 2 for g in many]),
        "gradient_norm": torch.stack([g.norm() for g in many]),
    }
    for name, values in plain.items():
        error = float(values.std()) * (1 / 60 + 1 / 5) ** 0.5
        assert abs(rows[0].values[name].value - float(values.mean())) < 5 * error
    model.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert rows[-1].values["distance"].value == distance_from(model, start)[""]


def test_arms_of_a_seed_are_measured_on_the_same_mini_batches(tmp_path: Path, tiny: Tiny) -> None:
    probes = {"epochs": 1, "probe_every": 5, "probe_batches": 4}
    none = _run(tiny(**probes), tmp_path / "none").dynamics[0].values
    drop = _run(tiny(dropout="standard(0.2)", **probes), tmp_path / "drop").dynamics[0].values
    for name in ("variance", "error"):
        assert drop[f"{name}_without"].value == pytest.approx(none[name].value, rel=1e-5)
        assert abs(drop[f"{name}_effect"].value) > 1e-4
