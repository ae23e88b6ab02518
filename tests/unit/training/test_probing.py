"""A run that measures its gradients: the rows it makes, and that it ends as one that does not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from droptime.errors import ConfigError
from droptime.records import Estimate, Run, read_run
from droptime.training import TrainConfig, train
from droptime.training.measuring.probing import Shuffled
from droptime.training.processes.ranks import Ranks
from tests.unit.training.test_run import trainer

Tiny = Callable[..., TrainConfig]


def _run(config: TrainConfig, folder: Path) -> Run:
    train(config, folder)
    return read_run(folder)


RUNS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "dropout": {"dropout": "standard(0.3)"},
    "everything": {
        "dropout": "early(0.3, until=2ep)",
        "drop_path": "late(0.4, since=1ep)",
        "accumulate": 4,
        "ema_decay": 0.9,
        "crop_padding": 1,
        "flip": 0.5,
        "erase": 0.5,
        "mixup": 0.5,
        "clip_grad": 1.0,
        "mixed_precision": "bf16",
    },
    "batch normalisation": {"model": "resnet10t", "model_args": {}, "image_size": 16, "epochs": 1},
    "image by image": {"augment_on": "cpu", "crop_scale": 0.3, "dropout": "standard(0.2)"},
}


@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS)
def test_a_measured_run_is_the_same_run(
    tmp_path: Path, tiny: Tiny, settings: dict[str, Any]
) -> None:
    config = tiny(**settings)
    plain = _run(config, tmp_path / "plain")
    probed = _run(replace(config, probe_every=4, probe_batches=3), tmp_path / "probed")
    assert plain.dynamics == ()
    assert plain.steps == probed.steps
    assert plain.evals == probed.evals
    for name in sorted(file.name for file in plain.path.glob("*.safetensors")):
        assert (plain.path / name).read_bytes() == (probed.path / name).read_bytes()


def test_the_beginning_is_measured_more_densely(tmp_path: Path, tiny: Tiny) -> None:
    rows = _run(tiny(dropout="standard(0.3)", probe_every=6, probe_batches=3), tmp_path).dynamics
    assert [row.step for row in rows] == [0, 1, 2, 4, 6, 12, 15]
    assert rows[-1].epoch == 3.0
    assert {(row.batches, row.batch_size, row.halved) for row in rows} == {(3, 16.0, True)}
    assert {row.reference for row in rows} == {80}
    assert {row.values["alignment"] for row in rows} == {Estimate(1.0, 0.0)}
    assert rows[0].values["distance"].value == 0
    assert rows[-1].values["distance"].value > 0
    for row in rows:
        within = row.values["error"].value - row.values["error_without"].value
        assert row.values["error_effect"].value == pytest.approx(within)
        assert row.values["error_effect"].value != 0


def test_groups_are_recorded_beside_the_whole(tmp_path: Path, tiny: Tiny) -> None:
    """The values of the whole are what they are without groups; a group's are a probe's own."""
    config = tiny(dropout="standard(0.3)", epochs=1, probe_every=5, probe_batches=3)
    plain = _run(config, tmp_path / "plain").dynamics
    layers = _run(replace(config, probe_groups="layer"), tmp_path / "layers").dynamics
    assert [row.groups for row in plain] == [{}] * len(plain)
    for before, row in zip(plain, layers, strict=True):
        assert {"patch_embed", "blocks.0", "head"} <= row.groups.keys()
        assert row.values.keys() == before.values.keys()
        for name, found in row.values.items():
            assert found.value == pytest.approx(before.values[name].value, rel=1e-9), name
        powers = [group["distance"].value ** 2 for group in row.groups.values()]
        assert sum(powers) == pytest.approx(row.values["distance"].value ** 2)
        assert all(0 < group["variance"].value < 1 for group in row.groups.values())
    some = _run(replace(config, probe_groups="blocks.*, head.*"), tmp_path / "some").dynamics
    assert list(some[0].groups) == ["other", "blocks.*", "head.*"]
    with pytest.raises(ConfigError, match=r"'heads.\*' matches no parameter"):
        train(replace(config, probe_groups="heads.*"), tmp_path / "none")


def test_without_dropout_its_effect_is_zero(tmp_path: Path, tiny: Tiny) -> None:
    for row in _run(tiny(probe_every=8, probe_batches=2, probe_reference=3), tmp_path).dynamics:
        assert row.reference == 48
        assert 0 <= row.values["alignment"].value < 1
        assert row.values["variance_effect"].value == 0
        assert row.values["error_effect"].value == 0


def test_what_cannot_be_measured_is_said(tmp_path: Path, tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="probe_batches"):
        tiny(probe_every=4, probe_batches=1)
    said = "probe_batches=32: the 80 training images are 5 mini-batches of 16. Make probe_batches"
    with pytest.raises(ConfigError, match=said):
        train(tiny(probe_every=4), tmp_path)
    with pytest.raises(ConfigError, match="probe_reference=6: "):
        train(tiny(probe_every=4, probe_batches=5, probe_reference=6), tmp_path)
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [16, 26])
def test_processes_walk_every_image_once(
    cut: bool, count: int, size: int, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dealt out by batches, or by the images of each batch in parts of one size."""
    run = trainer(tiny(), tmp_path)
    order = torch.arange(len(run.data.train))
    monkeypatch.setattr(Ranks, "gather", lambda self, _: [order] * self.count)
    seen: list[list[int]] = []
    for index in range(count):
        walk = Shuffled(
            replace(run.data.train, labels=order),
            run.stream.augment,
            size,
            Ranks(index, count),
            cut=cut,
        )
        batches = [labels.tolist() for _, labels in walk]
        assert len(batches) == len(walk)
        seen += batches
    images = sorted(itertools.chain.from_iterable(seen))
    assert len(images) == len(set(images))
    left_out = len(order) % size % count + len(order) // size * (size % count) if cut else 0
    assert len(images) == len(order) - left_out
