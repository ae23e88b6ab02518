"""What a run may go on with: the same settings, free ones, or others that were allowed."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from droptime.errors import ConfigError
from droptime.records import Change, read_run
from droptime.schedules import parse
from droptime.training import Event, Started, TrainConfig, train
from droptime.training.events import nobody
from droptime.training.saving.checkpoint import load, save
from droptime.training.settings.changes import FIXED, FREE
from droptime.training.step.engine import Engine
from droptime.training.trainer import Trainer
from droptime.types import Clock

Tiny = Callable[..., TrainConfig]


def test_other_settings_need_to_be_allowed(tiny: Tiny, killed: Callable[..., Path]) -> None:
    run = killed("run")
    before = (run / "config.json").read_bytes()
    with pytest.raises(ConfigError, match=r"lr: 0.003 there, 0.001 asked\n.*--allow-change"):
        train(tiny(lr=1e-3), run)
    assert (run / "config.json").read_bytes() == before


def test_an_allowed_change_acts_from_the_newest_checkpoint_on_and_is_kept(
    tiny: Tiny, killed: Callable[..., Path]
) -> None:
    run = killed("run", dropout="early(0.3, until=100%)", log_every=1)
    kept = read_run(run).steps[:8]
    config = tiny(dropout="late(0.2, since=10st)", epochs=4, lr=1e-3, log_every=1)
    heard: list[Event] = []
    train(config, run, listen=heard.append, allow_change=True)
    started = next(event for event in heard if isinstance(event, Started))
    assert (started.first_step, started.total_steps) == (8, 20)
    done = read_run(run)
    assert done.steps[:8] == kept
    assert [row.step for row in done.steps] == list(range(20))
    assert [row.rates["dropout"] for row in done.steps[8:]] == [0.0] * 2 + [0.2] * 10
    schedule = Trainer(config, run, listen=nobody).lr
    assert [row.lr for row in done.steps[8:]] == [schedule(step) for step in range(8, 20)]
    early, late = (str(parse(text)) for text in ("early(0.3, until=100%)", str(config.dropout)))
    assert done.changes == (
        Change(
            8,
            {"epochs": 3, "lr": 0.003, "dropout": early},
            {"epochs": 4, "lr": 0.001, "dropout": late},
        ),
    )
    assert done.config == config.to_dict()
    assert train(config, run) == done.summary


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": 1e-3},
        {"min_lr": 1e-4},
        {"warmup": "11st"},
        {"epochs": 5},
        {"batch_size": 20},
        {"batch_size": 8, "epochs": 2},
        {"accumulate": 2, "mixup": 0.5, "flip": 0.5},
        {"dropout": "late(0.2, since=70%)"},
        {"drop_path": "early(0.3, until=100%, shape=linear)", "epochs": 4},
        {"dropout": None},
    ],
    ids=lambda settings: ",".join(settings),
)
def test_after_a_change_every_step_is_as_if_it_had_always_been(
    settings: dict[str, Any],
    tiny: Tiny,
    killed: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = killed("run", dropout="early(0.3, until=100%)", log_every=1)
    config = tiny(**{"dropout": "early(0.3, until=100%)", "log_every": 1, **settings})
    seen: list[tuple[float, dict[str, float], list[Any]]] = []
    original = Engine.update

    def watched(self: Engine, batches: Iterator[Any], *, lr: float) -> Tensor:
        pieces = [next(batches) for _ in range(config.accumulate)]
        seen.append((lr, self.rates(), pieces))
        return original(self, iter(pieces), lr=lr)

    monkeypatch.setattr(Engine, "update", watched)
    train(config, run, allow_change=True)
    after, seen = seen, []
    train(config, tmp_path / "always")
    total = config.epochs * (80 // config.batch_size)
    assert len(seen) == total
    assert len(after) == total - 8
    clock = Clock(epochs=config.epochs, steps_per_epoch=80 // config.batch_size)
    curves = {"dropout": config.dropout, "drop_path": config.drop_path}
    rates = {name: parse(text).resolve(clock) for name, text in curves.items() if text}
    for step, (now, twin) in enumerate(zip(after, seen[8:], strict=True), start=8):
        assert now[0] == twin[0] == pytest.approx(cosine(config, step, total), rel=1e-12)
        assert now[1] == twin[1] == {name: curve(step) for name, curve in rates.items()}
        for left, right in zip(now[2], twin[2], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def cosine(config: TrainConfig, step: int, total: int) -> float:
    warmup = int(config.warmup.removesuffix("st"))
    if step < warmup:
        return config.lr * step / (warmup - 1)
    angle = math.pi * (step - warmup) / (total - warmup)
    return config.min_lr + (config.lr - config.min_lr) * (1 + math.cos(angle)) / 2


def test_a_changed_run_that_is_killed_again_goes_on_without_asking(
    tiny: Tiny, killed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its newest checkpoint is still one of the old settings."""
    run = killed("run", dropout="early(0.3, until=50%)")
    config = tiny(epochs=4, dropout="early(0.3, until=50%)")
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "update", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, run, allow_change=True)
    train(config, run)
    done = read_run(run)
    assert [change.step for change in done.changes] == [8]
    assert done.summary is not None
    assert done.summary.steps == 20
    schedule = parse("early(0.3, until=50%)").resolve(Clock(epochs=4, steps_per_epoch=5))
    assert done.steps[-1].rates["dropout"] == schedule(19)


def test_a_change_moves_back_with_the_checkpoint_it_began_at(
    tiny: Tiny, killed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = killed("run")
    config = tiny(lr=1e-3)
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "update", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, run, allow_change=True)
    (run / "checkpoints" / "step-00000008.safetensors").write_bytes(b"torn")
    with pytest.warns(UserWarning, match="Going on from step 4"):
        train(config, run)
    assert read_run(run).changes == (Change(4, {"lr": 0.003}, {"lr": 0.001}),)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"model_args": {"img_size": 8}}, r"model_args: .* \(the weights would not fit\)"),
        ({"train_limit": 60}, r"train_limit: 80 there, 60 asked \(it would train on other images"),
        ({"seed": 1, "lr": 1.0}, r"(?s)lr: 0.003.*seed: .*seed cannot change within a run"),
    ],
)
def test_some_settings_cannot_change(
    tiny: Tiny, killed: Callable[..., Path], settings: dict[str, Any], reason: str
) -> None:
    run = killed("run")
    with pytest.raises(ConfigError) as refused:
        train(tiny(**settings), run, allow_change=True)
    assert refused.match(f"(?s){reason}")


def test_a_run_cannot_become_shorter_than_it_is(tiny: Tiny, killed: Callable[..., Path]) -> None:
    run = killed("run")
    before = (run / "config.json").read_bytes()
    with pytest.raises(ConfigError, match="has made 8 steps, and with these settings has 5 in all"):
        train(tiny(epochs=1), run, allow_change=True)
    assert (run / "config.json").read_bytes() == before


def test_free_settings_need_no_permission_and_change_no_number(
    tiny: Tiny, killed: Callable[..., Path], tmp_path: Path
) -> None:
    run = killed("run", dropout="standard(0.2)")
    free: dict[str, Any] = {
        "memory_gb": 0.0,
        "log_every": 3,
        "checkpoint_every": 5,
        "checkpoint_minutes": 1.0,
        "keep_checkpoints": 1,
        "skip_nonfinite": 2,
    }
    config = tiny(dropout="standard(0.2)", **free)
    summary = train(config, run)
    assert train(tiny(dropout="standard(0.2)"), run) == summary
    train(tiny(dropout="standard(0.2)"), tmp_path / "whole")
    files = [folder / "model.safetensors" for folder in (run, tmp_path / "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert read_run(run).changes[0].after == free


def test_a_finished_run_is_not_changed(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(), tmp_path)
    with pytest.raises(ConfigError, match=r"epochs: 3 there, 5 asked\nIt has finished.*weights="):
        train(tiny(epochs=5), tmp_path, allow_change=True)


def test_an_average_may_begin_or_end(tiny: Tiny, killed: Callable[..., Path]) -> None:
    run = killed("run")
    train(tiny(ema_decay=0.9), run, allow_change=True)
    assert [row.step for row in read_run(run).evals if row.weights == "ema"] == [9, 14]


def test_another_number_of_images_is_refused(tiny: Tiny, killed: Callable[..., Path]) -> None:
    run = killed("run")
    saved = load(run / "checkpoints", 8)
    values = {**saved.values, "train_images": 81}
    save(run / "checkpoints", dataclasses.replace(saved, values=values))
    with pytest.raises(ConfigError, match="had 81 images when the run was saved and has 80 now"):
        train(tiny(), run, allow_change=True)


def test_every_setting_is_of_one_kind() -> None:
    names = TrainConfig(data="digits").to_dict().keys()
    assert names > FREE
    assert names > FIXED.keys()
    assert not FREE & FIXED.keys()


def test_a_config_without_changes_is_written_as_ever(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(), tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()).keys() == {"v", "config"}
    assert read_run(tmp_path).changes == ()
    assert torch.get_num_threads() == 1
