"""A made-up study whose runs measured gradients: shapes as in training, from a seeded generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from droptime.records import (
    JSON,
    DynamicsRow,
    Estimate,
    EvalRow,
    RunWriter,
    Study,
    StudyManifest,
    Summary,
    read_study,
    run_path,
    write_manifest,
)

TOTAL = 4000
STEPS = (0, 1, 2, 4, 8, 16, 32, 64, *range(100, TOTAL + 1, 100))
ARMS: Mapping[str, Mapping[str, str]] = {"none": {}, "standard": {"dropout": "standard(0.1)"}}
Change = Callable[[DynamicsRow, str, int], DynamicsRow | None]


def write_dynamics_study(
    path: Path,
    *,
    arms: Mapping[str, Mapping[str, str]] = ARMS,
    seeds: Sequence[int] = range(5),
    steps: Sequence[int] = STEPS,
    noise: float = 0.004,
    crossing: float = 600.0,
    finished: Callable[[str, int], bool] = lambda arm, seed: True,
    change: Change = lambda row, arm, seed: row,
) -> Study:
    """Write a study in which dropout's GDV and GDE are lower until ``crossing``, higher after.

    ``change`` may replace a row, or leave it out by returning None.
    """
    write_manifest(path, StudyManifest("dynamics", arms, tuple(seeds), base={"data": "made up"}))
    rng = np.random.default_rng(20230302)
    for seed in seeds:
        luck = rng.normal(0, 0.01)
        for arm, curves in arms.items():
            config: dict[str, JSON] = {"data": "made up", **curves, "arm": arm, "seed": seed}
            with RunWriter.create(run_path(path, arm, seed), config) as run:
                for step in steps:
                    drops = bool(curves) and (not arm.startswith("early") or step < TOTAL / 5)
                    values = _values(step, drops=drops, drove=bool(curves), crossing=crossing)
                    noisy = {
                        name: _noisy(name, value, luck=luck, noise=noise, rng=rng)
                        for name, value in values.items()
                    }
                    row = DynamicsRow(step, step / 100, 32, 128.0, True, noisy)
                    if (kept := change(row, arm, seed)) is not None:
                        run.append(kept)
                last = EvalRow(TOTAL - 1, TOTAL / 100, 0.6, 0.7, 0.8, 0.7)
                run.append(last)
                if finished(arm, seed):
                    run.finish(Summary(TOTAL, 60.0, last, {"droptime": "0.1.0"}))
    return read_study(path)


def _values(step: int, *, drops: bool, drove: bool, crossing: float) -> dict[str, float]:
    age = math.log1p(step) / math.log1p(TOTAL)
    shift = 0.03 * math.tanh(1.2 * math.log((step + 20) / (crossing + 20))) if drops else 0.0
    variance = 0.16 + 0.3 * age**1.5
    error = 0.1 + 0.28 * age**1.5
    values = {
        "gradient_norm": (2.4 * math.exp(-4 * age) + 0.5 + 0.4 * age**3) * (0.86 if drops else 1),
        "distance": 0.22 * step**0.55 * (1.12 if drove else 1.0),
        "variance": variance + shift,
        "error": error + 0.8 * shift,
        "noise_scale": 300.0 * math.exp(4 * age),
    }
    for name, offset in (("variance", 0.012), ("error", 0.008)):
        effect = offset + 0.3 * shift if drops else 0.0
        values |= {f"{name}_effect": effect, f"{name}_without": values[name] - effect}
    return values


def _noisy(
    name: str, value: float, *, luck: float, noise: float, rng: np.random.Generator
) -> Estimate:
    if name in ("gradient_norm", "distance", "noise_scale"):
        return Estimate(value * (1 + luck + rng.normal(0, noise)), 0.01 * value)
    if name.endswith("effect") and value == 0.0:  # a probe says exactly 0 where nothing drops
        return Estimate(0.0, 0.0)
    if name.endswith("effect"):
        return Estimate(value + rng.normal(0, noise / 4), noise / 4)
    return Estimate(value + luck + rng.normal(0, noise), noise)
