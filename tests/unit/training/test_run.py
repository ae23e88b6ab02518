from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from droptime.errors import ClosedSiteError, ConfigError, DivergedError, MissingExtraError
from droptime.records import EvalRow, StepRow, read_run
from droptime.training import Event, Started, TrainConfig, train, train_from_dict
from droptime.training.events import nobody
from droptime.training.measuring.evaluate import evaluate
from droptime.training.seeds import Streams
from droptime.training.step.engine import Engine
from droptime.training.trainer import Trainer

Tiny = Callable[..., TrainConfig]


def trainer(config: TrainConfig, path: Path) -> Trainer:
    return Trainer(config, path, listen=nobody)


def test_records_and_events_tell_the_same_story(tiny: Tiny, tmp_path: Path) -> None:
    heard: list[Event] = []
    config = tiny(dropout="early(0.2, until=2ep)", arm="early", seed=3)
    summary = train(config, tmp_path, listen=heard.append)
    run = read_run(tmp_path)
    started, *rows = heard
    assert isinstance(started, Started)
    assert (started.total_steps, started.train_images, started.test_images) == (15, 80, 30)
    assert tuple(row for row in rows if isinstance(row, StepRow)) == run.steps
    assert tuple(row for row in rows if isinstance(row, EvalRow)) == run.evals
    assert [row.step for row in run.steps] == [0, 4, 8, 12, 14]
    assert [row.epoch for row in run.evals] == [1.0, 2.0, 3.0]
    assert (run.arm, run.seed) == ("early", 3)
    assert run.summary == summary
    assert summary.final == run.evals[-1]
    assert (summary.steps, summary.environment["timm"]) == (15, "1.0.31")


def test_rows_hold_the_rate_and_lr_in_force_at_their_step(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(dropout="early(0.3, until=10st)", drop_path="late(0.2, since=5st)", log_every=1)
    train(config, tmp_path)
    steps = read_run(tmp_path).steps
    early = [0.3 * (1 - step / 9) for step in range(10)] + [0.0] * 5
    assert [row.rates["dropout"] for row in steps] == pytest.approx(early)
    assert [row.rates["drop_path"] for row in steps] == [0.0] * 5 + [0.2] * 10
    assert [row.lr for row in steps[:4]] == pytest.approx([0.0, 1.5e-3, 3e-3, 3e-3])


def test_the_loss_of_a_row_is_the_mean_since_the_last(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(log_every=1), tmp_path / "each")
    train(tiny(log_every=4), tmp_path / "some")
    each = [row.loss for row in read_run(tmp_path / "each").steps]
    some = {row.step: row.loss for row in read_run(tmp_path / "some").steps}
    assert some[4] == pytest.approx(math.fsum(each[1:5]) / 4, rel=1e-12)
    assert some[14] == pytest.approx(math.fsum(each[13:15]) / 2, rel=1e-12)


def test_arms_of_a_seed_begin_alike_and_see_the_same_batches(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    weights: list[dict[str, Tensor]] = []
    original = Engine._backward

    def spy(self: Engine, images: Tensor, targets: Tensor, *, last: bool) -> Tensor:
        seen.append(torch.cat([images.flatten(), targets.flatten()]))
        return original(self, images, targets, last=last)

    monkeypatch.setattr(Engine, "_backward", spy)
    busy: dict[str, Any] = {"crop_padding": 1, "erase": 0.5, "mixup": 0.8}
    arms: dict[str, dict[str, Any]] = {
        "none": {},
        "early": {"dropout": "early(0.5, until=50%)"},
        "late": {"drop_path": "late(0.5, since=50%)"},
    }
    batches: list[list[Tensor]] = []
    for name, curves in arms.items():
        run = trainer(tiny(arm=name, **busy, **curves), tmp_path / name)
        weights.append({key: v.clone() for key, v in run.engine.bare.state_dict().items()})
        seen.clear()
        run.run()
        batches.append(list(seen))
    for other_weights, other_batches in zip(weights[1:], batches[1:], strict=True):
        assert other_weights.keys() == weights[0].keys()
        assert all(torch.equal(other_weights[key], weights[0][key]) for key in weights[0])
        assert len(other_batches) == len(batches[0]) == 15
        assert all(map(torch.equal, other_batches, batches[0]))
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in arms]
    assert len(set(files)) == 3


def test_seeds_differ_in_weights_and_masks(tiny: Tiny, tmp_path: Path) -> None:
    first, other = (trainer(tiny(seed=seed), tmp_path / str(seed)) for seed in (0, 1))
    assert not torch.equal(*(run.engine.bare.head.weight for run in (first, other)))


def test_rates_move_once_per_optimizer_step(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(dropout="early(0.4, until=10st)", accumulate=4)
    run = trainer(config, tmp_path)
    seen: list[float] = []
    run.engine.model.register_forward_pre_hook(
        lambda module, _: seen.append(run.engine.rates()["dropout"]) if module.training else None
    )
    run.run()
    schedule = [0.4 * (1 - step / 9) for step in range(10)] + [0.0] * 5
    assert seen == pytest.approx([rate for rate in schedule for _ in range(4)])


def test_skipping_computes_less_and_trains_the_same(tiny: Tiny, tmp_path: Path) -> None:
    def rows(name: str, **settings: Any) -> int:
        run = trainer(tiny(drop_path="standard(0.6)", **settings), tmp_path / name)
        seen: list[int] = []
        mlp = run.engine.bare.blocks[-1].mlp
        mlp.register_forward_pre_hook(lambda m, args: seen.append(len(args[0]) * m.training))
        run.run()
        return sum(seen)

    masked, skipped, fixed = rows("no"), rows("yes", skip="yes"), rows("fixed", skip="fixed")
    assert masked == 15 * 16
    assert fixed == 15 * round(16 * 0.4)
    assert abs(skipped - 0.4 * masked) < 5 * math.sqrt(0.4 * 0.6 * masked)
    ends = [load_file(tmp_path / name / "model.safetensors") for name in ("no", "yes")]
    for name, value in ends[0].items():
        assert torch.allclose(value, ends[1][name], atol=1e-4), name


def test_accumulation_makes_the_same_step(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(), tmp_path / "whole")
    train(tiny(accumulate=4), tmp_path / "parts")
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    for name, value in whole.items():
        assert torch.allclose(value, parts[name], atol=2e-4), name


def test_evaluation_is_exact_and_leaves_no_trace(tiny: Tiny, tmp_path: Path) -> None:
    run = trainer(tiny(dropout="standard(0.5)", test_limit=29), tmp_path)
    model, augment = run.engine.bare, run.stream.augment
    model.patch_embed.eval()
    modes = [module.training for module in model.modules()]
    before = Streams.capture()
    measured = evaluate(model, run.data.test, normalise=augment.normalise, batch_size=7)
    assert torch.equal(Streams.capture().tensors["cpu"], before.tensors["cpu"])
    assert [module.training for module in model.modules()] == modes
    images, labels = next(run.data.test.batches([torch.arange(29)]))
    model.eval()
    one_by_one = [model(augment.normalise(image[None]))[0] for image in images]
    losses = [
        F.cross_entropy(logits, y).item() for logits, y in zip(one_by_one, labels, strict=True)
    ]
    right = [int(logits.argmax()) == int(y) for logits, y in zip(one_by_one, labels, strict=True)]
    assert measured.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert measured.accuracy == np.mean(right)


def test_training_loss_is_measured_without_drop_augmentation_or_mixing(
    tiny: Tiny, tmp_path: Path
) -> None:
    config = tiny(dropout="standard(0.5)", mixup=1.0, erase=1.0, smoothing=0.3)
    run = trainer(config, tmp_path)
    summary = run.run()
    images, labels = next(run.data.train.batches([torch.arange(80)]))
    with torch.no_grad():
        logits = run.engine.bare.eval()(run.stream.augment.normalise(images))
    assert summary.final.train_loss == pytest.approx(
        F.cross_entropy(logits, labels).item(), rel=1e-5
    )


def test_the_average_follows_the_weights(tiny: Tiny, tmp_path: Path) -> None:
    run = trainer(tiny(ema_decay=0.5, log_every=1), tmp_path)
    slow = {name: value.clone() for name, value in run.engine.bare.state_dict().items()}
    original = run.engine.advance_rates

    def follow() -> None:
        original()
        for name, value in run.engine.bare.state_dict().items():
            slow[name] = 0.5 * slow[name] + 0.5 * value

    run.engine.advance_rates = follow  # type: ignore[method-assign]
    run.run()
    averaged = load_file(tmp_path / "ema.safetensors")
    for name, value in slow.items():
        assert torch.allclose(averaged[name], value, atol=1e-6), name
    rows = read_run(tmp_path).evals
    assert [row.weights for row in rows] == ["raw", "ema"] * 3
    assert rows[-1].train_loss != rows[-2].train_loss


def test_a_loss_that_is_not_finite_names_its_step_and_the_last_good_checkpoint(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Engine.update, iter(range(100))

    def poisoned(self: Engine, *args: Any, **kwargs: Any) -> Tensor:
        loss = original(self, *args, **kwargs)
        return loss * math.nan if next(calls) == 9 else loss

    monkeypatch.setattr(Engine, "update", poisoned)
    with pytest.raises(DivergedError, match=r"nan at step 9\. The last good .* after 8 steps"):
        train(tiny(log_every=100, checkpoint_every=4), tmp_path)
    monkeypatch.undo()
    train(tiny(log_every=100, checkpoint_every=4), tmp_path)


def test_weights_that_are_not_finite_are_never_saved(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Engine.update, iter(range(100))

    def poisoned(self: Engine, *args: Any, **kwargs: Any) -> Tensor:
        loss = original(self, *args, **kwargs)
        if next(calls) == 7:
            with torch.no_grad():
                next(self.bare.parameters()).fill_(math.inf)
        return loss

    monkeypatch.setattr(Engine, "update", poisoned)
    with pytest.raises(DivergedError, match="no longer finite after step 7") as stop:
        train(tiny(log_every=100, checkpoint_every=4), tmp_path)
    assert (stop.value.step, len(stop.value.images)) == (7, 16)
    assert (tmp_path / "checkpoints" / "step-00000004.json").exists()
    assert not (tmp_path / "checkpoints" / "step-00000008.json").exists()


def test_the_process_keeps_its_random_streams(tiny: Tiny, tmp_path: Path) -> None:
    before = Streams.capture()
    train(tiny(dropout="standard(0.1)", mixup=0.2), tmp_path)
    after = Streams.capture()
    assert torch.equal(before.tensors["cpu"], after.tensors["cpu"])
    assert before.values == after.values


def test_precisions_may_change_within_a_process(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(), tmp_path / "full")
    train(tiny(mixed_precision="bf16"), tmp_path / "half")
    train(tiny(), tmp_path / "full again")
    files = {
        name: (tmp_path / name / "model.safetensors").read_bytes()
        for name in ("full", "half", "full again")
    }
    assert files["full"] == files["full again"] != files["half"]
    half = read_run(tmp_path / "half").evals[-1]
    assert half.train_loss == pytest.approx(
        read_run(tmp_path / "full").evals[-1].train_loss, abs=0.1
    )


def test_training_says_nothing(
    tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train_from_dict(tiny().to_dict(), str(tmp_path))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model": "vit_tinny_patch16_224"}, "no model 'vit_tinny_patch16_224': did you mean"),
        ({"model_args": {"img_size": 8, "patch_size": 2, "dept": 3}}, "cannot be built"),
        ({"model_args": {"img_size": [8, 8]}}, "expected one number"),
        ({"model_args": {"img_size": 8, "in_chans": 2}}, "1 or 3 channels"),
        ({"model_args": {"img_size": 8, "patch_size": 2, "num_classes": 3}}, "has 10 classes"),
        ({"image_size": 12}, "cannot take images of 12 x 12"),
        ({"mixed_precision": "fp16"}, "mixed_precision='fp16'"),
        ({"train_limit": 9}, "train_limit=9"),
    ],
)
def test_what_cannot_work_says_so(
    tiny: Tiny, tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises((ConfigError, ValueError), match=expected):
        train(tiny(**changes), tmp_path)


def test_curves_of_a_model_without_such_sites(tiny: Tiny, tmp_path: Path) -> None:
    config = replace(tiny(), model="resnet18", model_args={}, image_size=32)
    with pytest.raises((ClosedSiteError, ValueError)):
        train(replace(config, dropout="standard(0.1)"), tmp_path)


def test_a_missing_library_says_how_to_install_it(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("droptime.training.trainer")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "accelerate"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("processes.devices", "step.engine"):
        monkeypatch.delitem(sys.modules, f"droptime.training.{name}")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtraError, match=r"accelerate.*pip install 'droptime\[train\]'"):
        train(tiny(), tmp_path)


def test_adamw_has_the_settings_of_the_config(tiny: Tiny, tmp_path: Path) -> None:
    run = trainer(tiny(beta1=0.8, beta2=0.95, eps=1e-6, weight_decay=0.2), tmp_path)
    groups = run.engine._groups
    assert {group["betas"] for group in groups} == {(0.8, 0.95)}
    assert {group["eps"] for group in groups} == {1e-6}
    assert [group["weight_decay"] for group in groups] == [0.0, 0.2]
    assert {group["betas"] for group in trainer(tiny(), tmp_path).engine._groups} == {(0.9, 0.999)}
