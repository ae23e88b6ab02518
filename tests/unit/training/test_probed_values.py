"""What a run measures of its gradients, beside the same computed the obvious way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from droptime.dynamics import distance_from, dropout_off, snapshot
from droptime.records import DynamicsRow, read_run
from droptime.training import TrainConfig, train
from droptime.training.trainer import Trainer

Tiny = Callable[..., TrainConfig]


def measured(config: TrainConfig, folder: Path) -> tuple[DynamicsRow, ...]:
    train(config, folder)
    return read_run(folder).dynamics


def test_values_are_those_of_a_plain_loop(tmp_path: Path, tiny: Tiny) -> None:
    """GDE and norm of other mini-batches by autograd alone agree; the distance is exact."""
    config = tiny(dropout="standard(0.3)", epochs=1, probe_every=5, probe_batches=5)
    rows = measured(config, tmp_path)
    fresh = Trainer(config, tmp_path, listen=lambda _: None)
    model, start = fresh.engine.bare, snapshot(fresh.engine.bare)
    images, labels = next(fresh.data.train.batches([torch.arange(80)]))

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
    none = measured(tiny(**probes), tmp_path / "none")[0].values
    drop = measured(tiny(dropout="standard(0.2)", **probes), tmp_path / "drop")[0].values
    for name in ("variance", "error"):
        assert drop[f"{name}_without"].value == pytest.approx(none[name].value, rel=1e-5)
        assert abs(drop[f"{name}_effect"].value) > 1e-4
