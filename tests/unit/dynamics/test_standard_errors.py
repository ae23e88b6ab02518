"""Intervals keep their promise: simulated coverage, with and without loss in the sketch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats

from droptime.dynamics import GradientDirections, NoiseScale, Reference, Value, variance_effect
from droptime.dynamics.values import t_quantile

SIMULATIONS, LEVEL = 400, 0.95
_SD = math.sqrt(LEVEL * (1 - LEVEL) / SIMULATIONS)


def _draw(random: np.random.Generator, shape: tuple[int, ...], spread: float) -> np.ndarray:
    """Gradients around a mean, noisier along some directions than along others."""
    d = shape[-1]
    noise = random.standard_normal(shape) * np.linspace(0.2, 2.0, d)
    return np.asarray(1.0 + spread * noise)


def _truth(d: int, spread: float) -> np.ndarray:
    """The expected unit vector."""
    drawn = _draw(np.random.default_rng(99), (200_000 // max(d // 40, 1), d), spread)
    return np.asarray((drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).mean(0))


def _directions(drawn: np.ndarray, sketch: int, reference: Reference | None) -> GradientDirections:
    found = GradientDirections(sketch=sketch, reference=reference)
    for row in torch.from_numpy(drawn):
        found.update({"w": row})
    return found


def _covered(values: list[Value], truth: float) -> float:
    ends = [value.interval(LEVEL) for value in values]
    return float(np.mean([low <= truth <= high for low, high in ends]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("d", "sketch", "spread", "n"),
    [(40, 4096, 1.0, 30), (40, 4096, 5.0, 30), (400, 128, 2.0, 20)],
    ids=["clear mean", "mostly noise", "sketched 3 to 1"],
)
def test_intervals_cover(d: int, sketch: int, spread: float, n: int) -> None:
    """At least 93 % less 5 sd; the jackknife and the sketch may only widen."""
    mean = _truth(d, spread)
    random = np.random.default_rng(7)
    reference = Reference.of({"w": torch.ones(d)})
    runs = [
        _directions(_draw(random, (n, d), spread), sketch, reference) for _ in range(SIMULATIONS)
    ]
    lowest = 0.93 - 5 * _SD
    gdv = _covered([run.variance() for run in runs], (1 - float(mean @ mean)) / 2)
    gde = _covered([run.error() for run in runs], (1 - float(mean.sum()) / math.sqrt(d)) / 2)
    assert gdv > lowest
    assert lowest < gde
    if sketch >= d:  # lossless: not much too wide either, and the error's are exact
        spread_of_values = np.std([run.variance().value for run in runs])
        typical = np.median([run.variance().standard_error for run in runs])
        assert typical < 1.6 * spread_of_values
        assert gde < 0.95 + 5 * _SD


@pytest.mark.slow
def test_noise_scale_covers() -> None:
    d, n, spread = 40, 50, 1.0
    random = np.random.default_rng(8)
    truth = float((np.linspace(0.2, 2.0, d) ** 2).sum()) / d
    found: list[NoiseScale] = [
        _directions(_draw(random, (n, d), spread), 4096, None).noise_scale()
        for _ in range(SIMULATIONS)
    ]
    assert 0.90 - 5 * _SD < _covered(list(found), truth) < 0.95 + 5 * _SD


@pytest.mark.slow
def test_pairing_covers_and_narrows() -> None:
    """Two sides that share most of their noise."""
    d, n = 40, 30
    random = np.random.default_rng(9)
    truth = (float((_truth(d, 1.2) ** 2).sum()) - float((_truth(d, 1.0) ** 2).sum())) / -2
    effects, alone = [], []
    for _ in range(SIMULATIONS):
        noise = _draw(random, (n, d), 1.0) - 1
        on, off = (_directions(1 + noise * s, 4096, None) for s in (1.2, 1.0))
        effects.append(variance_effect(on, off))
        alone.append(math.hypot(on.variance().standard_error, off.variance().standard_error))
    assert _covered(list(effects), truth) > 0.93 - 5 * _SD
    assert np.median([effect.standard_error for effect in effects]) < 0.5 * np.median(alone)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 29, 99])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_quantiles_are_student_s(degrees: int, level: float) -> None:
    expected = scipy_stats.t.ppf(0.5 + level / 2, degrees)
    assert t_quantile(0.5 + level / 2, degrees) == pytest.approx(expected, rel=5e-3)


def test_few_gradients_have_no_error_to_speak_of() -> None:
    found = GradientDirections()
    for row in torch.eye(2):
        found.update({"w": row})
    assert found.variance().value == pytest.approx(0.5)
    assert found.variance().standard_error == math.inf
    found.update({"w": torch.ones(2)})
    assert math.isfinite(found.variance().standard_error)
