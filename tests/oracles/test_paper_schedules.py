"""The curves against the tables one would write by hand, for many random rates and lengths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from droptime.schedules import curriculum, early, exponential, late, piecewise, standard
from droptime.types import Clock, Curve

Table = NDArray[np.float64]


def draw_cases() -> list[tuple[float, int, int]]:
    """Random (p, T, N) with T <= N; the first ones are the edges."""
    rng = np.random.default_rng(2303_01500)
    cases = [(0.1, 1, 1), (0.1, 1, 2), (0.1, 2, 2), (0.5, 2, 9), (0.0, 5, 9), (0.999999, 7, 7)]
    for _ in range(300):
        total = int(rng.integers(1, 400))
        cases.append((float(rng.uniform(0, 1)), int(rng.integers(1, total + 1)), total))
    return cases


CASES = draw_cases()


def values(curve: Curve, total: int, *, beyond: int = 5) -> Table:
    schedule = curve.resolve(Clock(total_steps=total))
    return np.array([schedule(step) for step in range(total + beyond)])


def zeros_then(phase: Table, total: int, *, beyond: int = 5) -> Table:
    return np.concatenate([phase, np.zeros(total + beyond - len(phase))])


def test_linear_early_is_linspace_then_zero() -> None:
    for p, cutoff, total in CASES:
        got = values(early(p, until=f"{cutoff}st"), total)
        np.testing.assert_allclose(
            got, zeros_then(np.linspace(p, 0, cutoff), total), rtol=0, atol=4e-16
        )
        assert got[0] == p
        assert got[cutoff - 1] == (0.0 if cutoff > 1 else p)
        assert not got[cutoff:].any()


def test_linear_early_is_the_papers_formula_to_the_bit() -> None:
    for p, cutoff, total in CASES:
        if cutoff > 1:
            table = [p * (1 - i / (cutoff - 1)) for i in range(cutoff)]
            assert values(early(p, until=f"{cutoff}st"), total)[:cutoff].tolist() == table


def test_linear_early_averages_half_its_rate() -> None:
    for p, cutoff, total in CASES:
        if cutoff > 1:
            mean = values(early(p, until=f"{cutoff}st"), total)[:cutoff].mean()
            assert mean == pytest.approx(p / 2, abs=1e-12)


def test_constant_early_is_full_then_zero() -> None:
    for p, cutoff, total in CASES:
        got = values(early(p, until=f"{cutoff}st", shape="constant"), total)
        assert got.tolist() == zeros_then(np.full(cutoff, p), total).tolist()


def test_cosine_early_is_half_a_wave_then_zero() -> None:
    for p, cutoff, total in CASES:
        wave = np.array([0.5 * p * (1 + math.cos(math.pi * i / cutoff)) for i in range(cutoff)])
        got = values(early(p, until=f"{cutoff}st", shape="cosine"), total)
        np.testing.assert_allclose(got, zeros_then(wave, total), rtol=0, atol=4e-16)
        assert got[0] == p


def test_constant_late_is_zero_then_full() -> None:
    for p, cutoff, total in CASES:
        start = cutoff - 1
        table = np.concatenate([np.zeros(start), np.full(total + 5 - start, p)])
        assert values(late(p, since=f"{start}st"), total).tolist() == table.tolist()


def test_linear_late_is_linear_early_backwards() -> None:
    for p, length, total in CASES:
        backwards = np.linspace(p, 0, length)[::-1]
        table = np.concatenate([np.zeros(total - length), backwards, np.full(5, p)])
        got = values(late(p, since=f"{total - length}st", shape="linear"), total)
        np.testing.assert_allclose(got, table, rtol=0, atol=4e-16)
        assert got[total - 1] == p


def test_standard_is_full() -> None:
    for p, _, total in CASES:
        assert values(standard(p), total).tolist() == [p] * (total + 5)


def test_exponential_is_geomspace_then_flat() -> None:
    for p, cutoff, total in CASES:
        start, end = max(p, 1e-6), max(1 - p, 1e-6) - 1e-9
        table = np.concatenate([np.geomspace(start, end, cutoff), np.full(total + 5 - cutoff, end)])
        got = values(exponential(start, end, until=f"{cutoff}st"), total)
        np.testing.assert_allclose(got, table, rtol=1e-12)
        assert got[0] == start
        assert got[-1] == end


def test_curriculum_is_one_minus_morerios_keep_probability() -> None:
    for p, tau, total in CASES:
        limit, gamma = 1 - p, 1 / tau
        keep = [(1 - limit) * math.exp(-gamma * t) + limit for t in range(total)]
        got = values(curriculum(p, tau=f"{tau}st"), total, beyond=0)
        np.testing.assert_allclose(got, 1 - np.array(keep), rtol=0, atol=1e-15)
        assert got[0] == 0.0


def test_piecewise_is_numpy_interp() -> None:
    for p, length, total in CASES:
        rng = np.random.default_rng([length, total])
        steps = np.sort(rng.choice(total + 1, size=min(total + 1, 5), replace=False))
        rates = rng.uniform(0, 1, size=len(steps)) * p
        curve = piecewise(
            [(f"{at}st", rate) for at, rate in zip(steps, rates.tolist(), strict=True)]
        )
        table = np.interp(np.arange(total + 5), steps, rates)
        np.testing.assert_allclose(values(curve, total), table, rtol=0, atol=1e-15)


def test_the_papers_own_numbers() -> None:
    """ViT-T: early dropout 0.1 until epoch 50 of 300, 312 steps each (15,600 of 93,600 steps)."""
    schedule = early(0.1, until="50ep").resolve(Clock(epochs=300, steps_per_epoch=312))
    table = np.concatenate([np.linspace(0.1, 0, 15_600), np.zeros(78_000)])
    got = np.array([schedule(step) for step in range(93_600)])
    np.testing.assert_allclose(got, table, rtol=0, atol=2e-17)
    assert got[15_598] > got[15_599] == 0.0
