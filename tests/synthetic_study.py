"""A made-up study for tests: records of runs that no model ever made, from a seeded generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from droptime.records import (
    EvalRow,
    RunWriter,
    StepRow,
    StudyManifest,
    Summary,
    run_path,
    write_manifest,
)

PAPER_ARMS: Mapping[str, Mapping[str, str]] = {
    "none": {},
    "standard": {"dropout": "standard(0.1)"},
    "early": {"dropout": "early(0.1, until=50%)"},
    "late": {"dropout": "late(0.1, since=50%)"},
}
BOTH_ARMS: Mapping[str, Mapping[str, str]] = {
    "none": {},
    "standard-dropout": {"dropout": "standard(0.1)"},
    "early-dropout": {"dropout": "early(0.1, until=50%)"},
    "late-dropout": {"dropout": "late(0.1, since=50%)"},
    "standard-drop-path": {"drop_path": "standard(0.1)"},
    "early-drop-path": {"drop_path": "early(0.1, until=50%)"},
    "late-drop-path": {"drop_path": "late(0.1, since=50%)"},
}
ENVIRONMENT = {"droptime": "0.1.0", "python": "3.11.7", "torch": "2.15.0", "device": "cpu"}
EPOCHS, STEPS_PER_EPOCH = 10, 12


@dataclass(frozen=True)
class Effect:
    """What an arm adds to the baseline: to the final test accuracy and training loss."""

    accuracy: float = 0.0
    loss: float = 0.0


def write_study(
    path: Path,
    *,
    arms: Mapping[str, Mapping[str, str]] = PAPER_ARMS,
    seeds: Sequence[int] = range(5),
    effects: Mapping[str, Effect] | None = None,
    noise: float = 0.004,
    finished: Callable[[str, int], bool] = lambda arm, seed: True,
    begun: Callable[[str, int], bool] = lambda arm, seed: True,
    final: Callable[[EvalRow, str, int], EvalRow] = lambda row, arm, seed: row,
) -> Path:
    """Write the study and return its directory; runs not ``finished`` stop half-way."""
    manifest = StudyManifest(
        "synthetic", arms, tuple(seeds), base={"data": "made up", "epochs": EPOCHS, "lr": 1e-3}
    )
    write_manifest(path, manifest)
    rng = np.random.default_rng(20230302)
    luck = rng.normal(0, 0.01, len(seeds))
    for place, seed in enumerate(seeds):
        for arm, curves in arms.items():
            effect = (effects or {}).get(arm, Effect())
            level = luck[place] + rng.normal(0, noise)
            if not begun(arm, seed):
                continue
            config = {**manifest.base, **curves, "arm": arm, "seed": seed}
            done = finished(arm, seed)
            with RunWriter.create(run_path(path, arm, seed), config) as run:
                rows = _evals(effect, level=level, epochs=EPOCHS if done else EPOCHS // 2)
                for row in rows:
                    _steps(run, row, curves)
                    run.append(row)
                if done:
                    last = final(rows[-1], arm, seed)
                    steps = EPOCHS * STEPS_PER_EPOCH
                    run.finish(Summary(steps, 12.5, last, ENVIRONMENT))
    return path


def _evals(effect: Effect, *, level: float, epochs: int) -> list[EvalRow]:
    rows = []
    for epoch in range(1, epochs + 1):
        done = epoch / EPOCHS
        loss = 2.3 * 0.15**done + (effect.loss - level) * done
        accuracy = 0.1 + 0.8 * done**0.5 + (effect.accuracy + level) * done
        step = epoch * STEPS_PER_EPOCH - 1
        rows.append(EvalRow(step, float(epoch), loss, accuracy, loss + 0.1, accuracy))
    return rows


def _steps(run: RunWriter, row: EvalRow, curves: Mapping[str, str]) -> None:
    for step in range(row.step - STEPS_PER_EPOCH + 1, row.step + 1, 3):
        rates = dict.fromkeys(curves, 0.1)
        run.append(StepRow(step, step / STEPS_PER_EPOCH, row.train_loss + 0.2, 1e-3, rates))
