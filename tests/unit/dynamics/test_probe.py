"""What the probe finds, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.parallel import DataParallel

from droptime import Clock, DropScheduler, GradientDirections, GradientProbe
from droptime.dynamics import Dynamics, Reference, dropout_off, whole_gradient
from droptime.errors import (
    ConfigError,
    DataError,
    DivergedError,
    GradientError,
    SiteError,
    StateError,
    StatsError,
)
from tests.oracles import directions as twin
from tests.unit.dynamics.nets import Net, loader, loss_fn


def _plain(rate: float = 0.5) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(rate), nn.Linear(8, 3))


def _gradient(model: nn.Module, batch: Any) -> np.ndarray:
    model.zero_grad()
    loss: Any = loss_fn(model, batch)
    loss.backward()
    rows = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return np.asarray(torch.cat(rows).double())


def test_the_whole_gradient_is_that_of_all_examples_at_once() -> None:
    """The short last batch (60 = 7 * 8 + 4) counts by its size."""
    model = _plain()
    found = whole_gradient(model, loss_fn, loader())
    x, y = (torch.cat(parts) for parts in zip(*loader(shuffle=False), strict=True))
    with dropout_off(model):
        expected = _gradient(model, (x, y))
    ours = torch.cat([p.flatten() for p in found.pieces]).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-7)
    assert found.examples == 60
    assert found.alignment.value == 1


def test_a_sample_s_alignment_is_its_cosine_to_the_whole() -> None:
    """On average over samples, within 5 standard errors of that average."""
    model, data = _plain(0.0), loader(batch=4, examples=2000)

    def flat(reference: Reference) -> Tensor:
        return torch.cat(reference.pieces)

    whole = flat(whole_gradient(model, loss_fn, data))
    claimed, actual = [], []
    for seed in range(30):
        sample = whole_gradient(model, loss_fn, data, sample=20, seed=seed)
        claimed.append(sample.alignment.value)
        actual.append(float(torch.cosine_similarity(flat(sample), whole, dim=0)))
    difference = np.subtract(claimed, actual)
    assert abs(difference.mean()) < 5 * difference.std(ddof=1) / np.sqrt(30)
    assert np.mean(actual) < 0.97


def test_a_sample_that_is_half_of_the_whole_is_aligned_as_half_of_it() -> None:
    """The gradient of each batch is its mean: one direction in noise as strong, 40 batches."""
    model = nn.Linear(200, 1, bias=False)
    difference = []
    for _ in range(30):
        data = list(torch.randn(40, 4, 200) + torch.eye(200)[0])
        whole, half = (whole_gradient(model, _mean, data, sample=n) for n in (None, 20))
        cosine = torch.cosine_similarity(whole.pieces[0], half.pieces[0], dim=0)
        difference.append(half.alignment.value - float(cosine))
        assert whole_gradient(model, _mean, data, sample=40).alignment.value == pytest.approx(1)
    assert abs(np.mean(difference)) < 5 * np.std(difference, ddof=1) / np.sqrt(30)


def _mean(model: nn.Module, batch: Tensor) -> Tensor:
    return torch.mean(model(batch))


def test_values_are_those_of_plain_passes() -> None:
    """No dropout: the probe's mini-batches are the first of the walk, in any framework's terms."""
    model, data = _plain(0.0), list(loader(shuffle=False))
    found = GradientProbe(model, loss_fn, data, batches=6)(0)
    rows = np.stack([_gradient(model, batch) for batch in data[:6]])
    target = _gradient(model, tuple(torch.cat(parts) for parts in zip(*data, strict=True)))
    assert found.variance.value == pytest.approx(twin.variance(rows), abs=1e-6)
    assert found.error is not None
    assert found.error.value == pytest.approx(twin.error(rows, target), abs=1e-6)
    assert found.gradient_norm.value == pytest.approx(np.linalg.norm(rows, axis=1).mean(), rel=1e-6)
    assert found.variance_effect is not None
    assert (found.variance_effect.value, found.variance_effect.standard_error) == (0.0, 0.0)


def test_dropout_s_effect_is_seen() -> None:
    """The paper's picture of a model that underfits is not assumed: only that rate 0.8 shows."""
    model = _plain(0.8)
    found = GradientProbe(model, loss_fn, loader(batch=20, examples=1000), batches=40)(0)
    assert found.error_effect is not None
    assert found.variance_effect is not None
    assert found.error is not None
    assert found.error_without is not None
    low, _ = found.error_effect.interval()
    assert low > 0
    assert found.error_effect.value == pytest.approx(
        found.error.value - found.error_without.value, abs=1e-12
    )
    assert model[2].p == 0.8  # type: ignore[index]


def test_a_driven_model_s_rate_is_used_and_kept() -> None:
    model = Net()
    drop = DropScheduler(model, dropout="early(0.6, until=2st)", clock=Clock(total_steps=4))
    probe = GradientProbe(model, loss_fn, loader(), batches=6)
    first = probe(0)
    for _ in range(3):
        drop.step()
    last = probe(0)
    assert first.error_effect is not None
    assert last.error_effect is not None
    assert first.error_effect.value != 0
    assert (model.drop.p, model.attn.dropout) == (0.0, 0.0)
    assert last.error_effect.value != 0, "the functional dropout of the head is not driven"
    drop.close()
    assert (model.drop.p, model.attn.dropout, model.dropout_rate) == (0.3, 0.2, 0.1)


def test_steps_that_are_not_due_give_nothing() -> None:
    probe = GradientProbe(_plain(), loss_fn, loader(), batches=4, every=3, reference=False)
    assert [probe.step(s) is not None for s in range(7)] == [s % 3 == 0 for s in range(7)]
    found = probe.step(3)
    assert found is not None
    assert found == probe(3), "the same step and seed draw the same"
    assert found.variance != probe(6).variance


def test_a_loader_s_own_generator_draws_anew_at_every_step() -> None:
    drawn: list[list[float]] = []

    def watched(model: nn.Module, batch: Any) -> Tensor:
        drawn[-1].append(float(batch[0][0, 0]))
        return loss_fn(model, batch)

    settings: dict[str, Any] = {"batches": 4, "reference": False, "paired": False}
    probe = GradientProbe(_plain(), watched, loader(), **settings)
    for step in (0, 1, 0):
        drawn.append([])
        probe(step)
    assert drawn[0] == drawn[2]
    assert drawn[0] != drawn[1]


def test_distance_is_from_the_start_given() -> None:
    model = _plain()
    start = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    probe = GradientProbe(model, loss_fn, loader(), batches=4, start=start, reference=False)
    norm = float(torch.cat([p.flatten() for p in model.parameters()]).detach().double().norm())
    assert probe(0).distance == pytest.approx(norm, rel=1e-12)


def test_rows_are_json() -> None:
    probe = GradientProbe(_plain(), loss_fn, loader(), batches=4, groups="layer", reference=4)
    found = probe(2)
    row = json.loads(json.dumps(found.to_row(), allow_nan=False))
    assert row["step"] == 2
    assert row["halved"] is True
    assert row["variance"] == found.variance.value
    assert row["reference_examples"] == found.reference.examples  # type: ignore[union-attr]
    part = json.loads(json.dumps(found.groups["0"].to_row(), allow_nan=False))
    assert part["variance_se"] == found.groups["0"].variance.standard_error
    assert probe.step(2).halved  # type: ignore[union-attr]


def test_halves_are_halves() -> None:
    found: list[Dynamics] = [
        GradientProbe(_plain(), loss_fn, loader(), batches=4, halved=halved, seed=1)(0)
        for halved in (True, False)
    ]
    torch.manual_seed(0)
    assert [f.halved for f in found] == [f.variance.halved for f in found] == [True, False]


def test_wrappers_and_eval_mode_are_looked_through() -> None:
    model = _plain()
    bare = GradientProbe(model, loss_fn, loader(), batches=4)(0)
    model.eval()
    for wrapped in (model, DataParallel(model), torch.compile(model, backend="eager")):
        assert GradientProbe(wrapped, loss_fn, loader(), batches=4)(0) == bare  # type: ignore[arg-type]
        assert not model.training


def test_frozen_parameters_are_no_part_of_the_vector() -> None:
    model = _plain(0.0)
    for p in model[0].parameters():  # type: ignore[index]
        p.requires_grad_(False)
    found = GradientProbe(model, loss_fn, loader(), batches=4, groups="layer")(0)
    assert list(found.groups) == ["3"]
    assert found.groups["3"].variance == found.variance


class Hidden(nn.Module):
    """Dropout that no rule finds."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.odd = [0.5]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = F.dropout(self.linear(x), self.odd[0], self.training)
        return out


def test_hidden_dropout_is_refused() -> None:
    with pytest.raises(SiteError, match="is hidden"):
        GradientProbe(Hidden(), loss_fn, loader())
    GradientProbe(Hidden(), loss_fn, loader(), batches=4, paired=False, reference=False)(0)


def test_a_loss_that_draws_by_itself_is_not_taken_for_dropout() -> None:
    def noisy(model: nn.Module, batch: Any) -> Tensor:
        return loss_fn(model, [batch[0] + torch.randn_like(batch[0]), batch[1]])

    GradientProbe(_plain(), noisy, loader(), batches=4)(0)


class Once:
    """Gives batches on its first walk only."""

    def __init__(self) -> None:
        self.batches = iter(list(loader()))

    def __iter__(self) -> Iterator[Any]:
        return self.batches


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"batches": 1}, ConfigError, "batches=1"),
        ({"every": 0}, ConfigError, "every=0"),
        ({"reference": 1}, ConfigError, "reference=1"),
        ({"seed": -1}, ConfigError, "whole numbers from 0"),
        ({"halved": 2}, ConfigError, "halved=2"),
        ({"groups": "blocks"}, ConfigError, "groups="),
        ({"groups": ["nothing.*"]}, ConfigError, "matches no parameter"),
        ({"groups": ["*", "*.bias"]}, ConfigError, "put it before them"),
        ({"groups": []}, ConfigError, "groups="),
        ({"start": {}}, StateError, "another model"),
        ({"data": []}, DataError, "no batch"),
        ({"data": 3}, DataError, "data is a int"),
        ({"data": (b for b in loader())}, DataError, "only once"),
        ({"data": iter(loader())}, DataError, "only once"),
        ({"loss_fn": lambda m, b: m(b[0])}, ConfigError, "one number"),
        ({"loss_fn": lambda m, b: 1.0}, ConfigError, "one number"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(
    settings: dict[str, Any], error: type[Exception], match: str
) -> None:
    given: dict[str, Any] = {"loss_fn": loss_fn, "data": loader()} | settings
    with pytest.raises(error, match=match):
        GradientProbe(_plain(), given.pop("loss_fn"), given.pop("data"), **given)


def test_data_that_ends_is_told() -> None:
    once = Once()
    next(once.batches)
    with pytest.raises(DataError, match="fewer than batches=9"):
        GradientProbe(_plain(), loss_fn, loader(), batches=9, reference=False)(0)
    probe = GradientProbe(_plain(), loss_fn, once, batches=4)
    with pytest.raises(DataError, match="fewer than batches=4"):
        probe(0)  # the reference took what was left


@pytest.mark.parametrize(
    ("loss", "error", "match"),
    [
        (lambda m, b: loss_fn(m, b).detach(), ConfigError, "without a gradient"),
        (lambda m, b: loss_fn(m, b) * float("nan"), DivergedError, "loss is nan"),
        (lambda m, b: loss_fn(m, b) * 0, GradientError, "zero"),
        (lambda m, b: (loss_fn(m, b) * 0).sqrt(), DivergedError, "not finite"),
    ],
)
def test_losses_without_a_direction(loss: Any, error: type[Exception], match: str) -> None:
    probe = GradientProbe(_plain(), loss, loader(), batches=4, reference=False)
    with pytest.raises(error, match=match):
        probe(0)


def test_a_model_without_trained_parameters() -> None:
    model = _plain()
    model.requires_grad_(False)
    with pytest.raises(GradientError, match="unfreeze"):
        GradientProbe(model, loss_fn, loader())


def test_batches_without_a_tensor_need_a_size() -> None:
    data = [("a", "b"), ("c", "d")]

    def loss(m: nn.Module, b: Any) -> Tensor:
        return next(m.parameters()).sum() * len(b[0])

    with pytest.raises(DataError, match="size="):
        GradientProbe(_plain(), loss, data, batches=2, reference=False)(0)
    found = GradientProbe(_plain(), loss, data, batches=2, reference=False, size=lambda b: 7)(0)
    assert found.batch_size == 7


class TestDirections:
    def test_nothing_yet(self) -> None:
        with pytest.raises(StatsError, match="taken in"):
            GradientDirections().variance()

    def test_one_gradient_has_no_pairs(self) -> None:
        found = GradientDirections()
        found.update({"w": torch.ones(3)})
        with pytest.raises(StatsError, match="at least 2"):
            found.variance()

    @pytest.mark.parametrize(
        ("gradient", "error", "match"),
        [
            ({"w": torch.zeros(3)}, GradientError, "zero"),
            ({"w": torch.tensor([1.0, float("nan"), 0.0])}, DivergedError, "not finite"),
            ({"w": torch.ones(4)}, StateError, "shape"),
            ({"v": torch.ones(3)}, StateError, "'v' is unknown"),
            ({}, StateError, "missing"),
            (torch.ones(3), GradientError, "Tensor"),
            (nn.Linear(1, 1), GradientError, "after backward"),
        ],
    )
    def test_bad_gradients_change_nothing(
        self, gradient: Any, error: type[Exception], match: str
    ) -> None:
        found = GradientDirections()
        for row in torch.eye(3)[:2]:
            found.update({"w": row})
        with pytest.raises(error, match=match):
            found.update(gradient)
        assert len(found) == 2
        assert found.variance().value == pytest.approx(0.5)

    def test_a_group_without_a_direction_is_named(self) -> None:
        model = Net()
        loss: Any = loss_fn(model, next(iter(loader())))
        loss.backward()
        with pytest.raises(GradientError, match=r"'unused' is zero.*unused\.weight"):
            GradientDirections(groups="layer").update(model)
        GradientDirections().update(model)

    def test_a_first_gradient_of_none_tells_no_shape(self) -> None:
        with pytest.raises(GradientError, match="None in the first update"):
            GradientDirections().update({"w": torch.ones(2), "v": None})

    def test_merging_is_a_longer_stream(self) -> None:
        rows = torch.randn(9, 5)
        whole, parts = GradientDirections(), [GradientDirections() for _ in range(3)]
        for i, row in enumerate(rows):
            whole.update({"w": row})
            parts[i // 3].update({"w": row})
        left = GradientDirections().merge(parts[0]).merge(parts[1]).merge(parts[2])
        right = GradientDirections().merge(parts[2]).merge(parts[1].merge(parts[0]))
        for merged in (left, right):
            assert merged.variance().value == pytest.approx(whole.variance().value, rel=1e-13)
            assert merged.variance().standard_error == pytest.approx(
                whole.variance().standard_error, rel=1e-9
            )
        assert len(parts[0]) == 3, "what is merged in stays as it is"

    @pytest.mark.parametrize(
        "settings", [{"halved": False}, {"noise": False}, {"sketch": 7}, {"seed": 3}]
    )
    def test_other_measurements_are_not_merged(self, settings: dict[str, Any]) -> None:
        ours, theirs = GradientDirections(), GradientDirections(**settings)
        theirs.update({"w": torch.ones(2)})
        with pytest.raises(StateError, match=f"{next(iter(settings))} is"):
            ours.merge(theirs)

    def test_other_groups_are_not_merged_into_nothing(self) -> None:
        theirs = GradientDirections()
        theirs.update({"w": torch.ones(2)})
        with pytest.raises(StateError, match="other groups"):
            GradientDirections(groups="layer").merge(theirs)

    def test_other_models_are_not_compared(self) -> None:
        found = GradientDirections()
        found.update({"w": torch.ones(2)})
        reference = whole_gradient(_plain(), loss_fn, loader())
        with pytest.raises(StateError, match="another model"):
            found.error(reference)
        with pytest.raises(GradientError, match="needs a reference"):
            found.error()
        with pytest.raises(ConfigError, match="no such group"):
            found.norm("head")

    def test_opposed_gradients_have_no_noise_scale(self) -> None:
        found = GradientDirections()
        for sign in (1.0, -1.0):
            found.update({"w": sign * torch.ones(2)})
        assert found.variance().value == pytest.approx(1.0)
        assert found.noise_scale_or_none() is None
        with pytest.raises(StatsError, match="not defined"):
            found.noise_scale()
