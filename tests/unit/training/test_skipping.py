"""Steps that are not finite: named with their images, or left out without a trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from droptime.errors import DivergedError
from droptime.records import read_run
from droptime.training import TrainConfig, train
from droptime.training.blame import describe_images, images_of
from droptime.training.data.stream import Batch
from droptime.training.events import nobody
from droptime.training.processes.spread import all_finite
from droptime.training.step.engine import Engine
from droptime.training.step.skipping import NonFiniteGuard
from droptime.training.trainer import Trainer

Tiny = Callable[..., TrainConfig]
Poison = Callable[..., None]


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Poison:
    """Return a function that makes the backward pass of some calls infinite."""

    def make(*calls: int, gradient: bool = False) -> None:
        original, count = Engine._backward, iter(range(1000))

        def poisoned(self: Engine, images: Tensor, targets: Tensor, *, last: bool) -> Tensor:
            now = next(count)
            loss = original(self, images, targets, last=last)
            if now not in calls:
                return loss
            weight = next(self.bare.parameters())
            assert weight.grad is not None
            weight.grad.fill_(math.inf)
            return loss if gradient else loss * math.nan

        monkeypatch.setattr(Engine, "_backward", poisoned)

    return make


def test_a_loss_that_is_not_finite_names_its_batch(
    tiny: Tiny, tmp_path: Path, poison: Poison
) -> None:
    config = tiny(log_every=100)
    poison(9)
    with pytest.raises(DivergedError, match=r"at step 9\. The last good .* after 8 steps") as stop:
        train(config, tmp_path)
    stream = Trainer(config, tmp_path, listen=nobody).stream
    images = stream.order(1)[-16:].tolist()
    assert stop.value.step == 9
    assert list(stop.value.images) == images
    named = ", ".join(map(str, images))
    assert stop.match(rf"Its batch was images {named} of the training set; the first are .*\d+")


def test_the_images_are_those_that_the_step_sees(tiny: Tiny, tmp_path: Path) -> None:
    run = Trainer(tiny(accumulate=2), tmp_path, listen=nobody)
    labels = run.data.train.labels
    batches = [targets for _, targets in run.stream.batches()]
    for step in range(5):
        images = list(images_of(run.stream, step))
        assert torch.equal(labels[images], torch.cat(batches[2 * step : 2 * step + 2]))


def test_images_of_a_folder_are_named(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for index in range(5):
            Image.new("L", (8, 8)).save(tmp_path / label / f"{index}.png")
    config = TrainConfig(data=f"folder:{tmp_path}")
    text = describe_images((7, 0), config)
    assert text.startswith("Its batch was images 7, 0 of the training set; the first are ")
    assert text.count(str(tmp_path)) == 2
    assert ".png" in text
    assert describe_images(tuple(range(300)), TrainConfig(data="folder:gone")).endswith(
        "254, 255 and 44 more of the training set."
    )


@pytest.mark.parametrize("gradient", [False, True])
def test_a_skipped_step_changes_nothing_but_counts(
    tiny: Tiny, tmp_path: Path, poison: Poison, gradient: bool
) -> None:
    config = tiny(skip_nonfinite=1, ema_decay=0.5, log_every=1, dropout="early(0.2, until=2ep)")
    run = Trainer(config, tmp_path, listen=nobody)
    engine, batches = run.engine, run.stream.batches()
    engine.update(batches, lr=1e-3)
    before = {name: value.clone() for name, value in engine.tensors().items()}
    poison(0, gradient=gradient)
    assert math.isnan(engine.update(batches, lr=1e-3))
    after = engine.tensors()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(parameter.grad is None for parameter in engine.bare.parameters())
    assert math.isfinite(engine.update(batches, lr=1e-3))
    assert not torch.equal(engine.tensors()["model.head.weight"], before["model.head.weight"])


def test_skipped_steps_are_recorded_and_the_schedule_goes_on(
    tiny: Tiny, tmp_path: Path, poison: Poison
) -> None:
    curve = {"dropout": "early(0.2, until=2ep)"}
    train(tiny(**curve), tmp_path / "plain")
    poison(3, 8)
    train(tiny(skip_nonfinite=2, **curve), tmp_path / "skipped")
    plain, skipped = (read_run(tmp_path / name) for name in ("plain", "skipped"))
    assert [row.skipped for row in skipped.steps] == [(), (3,), (8,), (), ()]
    assert all(math.isfinite(row.loss) for row in skipped.steps)
    for one, other in zip(plain.steps, skipped.steps, strict=True):
        assert (one.step, one.lr, one.rates) == (other.step, other.lr, other.rates)
    assert "skipped" not in (tmp_path / "plain" / "rows.jsonl").read_text()


def test_a_run_that_may_skip_and_need_not_ends_as_one_that_may_not(
    tiny: Tiny, tmp_path: Path
) -> None:
    for name, spare in (("may", 3), ("may not", 0)):
        train(tiny(skip_nonfinite=spare, ema_decay=0.9, clip_grad=1.0), tmp_path / name)
    for file in ("model.safetensors", "ema.safetensors", "rows.jsonl"):
        contents = [(tmp_path / name / file).read_bytes() for name in ("may", "may not")]
        assert contents[0] == contents[1]


def test_one_step_too_many_stops_the_run(tiny: Tiny, tmp_path: Path, poison: Poison) -> None:
    poison(3, 8, 9)
    with pytest.raises(DivergedError, match="at step 9"):
        train(tiny(skip_nonfinite=2), tmp_path)


@pytest.mark.parametrize("log_every", [4, 100])
def test_what_was_skipped_counts_over_a_resume(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poison: Poison, log_every: int
) -> None:
    config = tiny(skip_nonfinite=1, log_every=log_every)
    poison(3)
    original = Trainer._make_step

    def dying(self: Trainer, batches: Iterator[Batch]) -> None:
        if self.position.step == 6:
            raise KeyboardInterrupt
        original(self, batches)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_make_step", dying)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path)
    poison(5)  # counted from the checkpoint after four steps
    with pytest.raises(DivergedError, match="at step 9"):
        train(config, tmp_path)


def test_no_step_waits_for_its_loss_unless_steps_may_be_skipped(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*args: Any, **kwargs: Any) -> bool:
        raise AssertionError("a read from the device")

    run = Trainer(tiny(), tmp_path / "plain", listen=nobody)
    careful = Trainer(tiny(skip_nonfinite=1), tmp_path / "careful", listen=nobody)
    for name in ("__bool__", "item", "tolist"):
        monkeypatch.setattr(Tensor, name, forbidden)
    batches = _one_batch()
    run.engine.update(batches, lr=1e-3)
    with pytest.raises(AssertionError, match="a read"):
        careful.engine.update(_one_batch(), lr=1e-3)


def _one_batch() -> Iterator[tuple[Tensor, Tensor]]:
    yield torch.zeros(16, 1, 8, 8), torch.zeros(16, dtype=torch.int64)


def test_the_guard_puts_running_statistics_back() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    guard = NonFiniteGuard(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    guard.begin()
    loss = model(torch.full((4, 3), math.inf)).sum()
    assert not torch.equal(model[1].running_mean, before["1.running_mean"])  # type: ignore[arg-type]
    assert not guard.passes(loss)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_one_number_that_is_not_finite_is_seen(wrong: float) -> None:
    tensors = [torch.ones(3), torch.ones(2, 2), torch.tensor(1.0)]
    assert all_finite(tensors)
    tensors[1][0, 1] = wrong
    assert not all_finite(tensors)
