"""The table of a study: what each arm reached, and how it differs from the baseline.

Nothing is computed here: values are taken from the records, intervals from ``droptime.stats``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from droptime.records import Run, Study
from droptime.stats import Estimate, mean_interval, paired_difference


@dataclass(frozen=True)
class Cell:
    """One measure of one arm: its value for each seed, and the estimate of the mean.

    Attributes:
        values: seed -> value; a difference's values are ours minus the baseline's.
        estimate: None with fewer than 2 values, or if one is not finite.
    """

    values: Mapping[int, float]
    estimate: Estimate | None

    @property
    def n(self) -> int:
        """How many seeds."""
        return len(self.values)

    @property
    def sign(self) -> int:
        """1, -1, or 0 if nothing is decided."""
        return self.estimate.sign if self.estimate else 0


@dataclass(frozen=True)
class ArmRow:
    """One arm's line of the table.

    Attributes:
        arm: its name.
        curves: what it drives, e.g. ``{"dropout": "early(0.1, until=50%)"}``.
        planned: how many runs the study plans for it.
        train_loss: final cross-entropy on the training set in nats, drop off, un-augmented.
        test_accuracy: final accuracy on the test set, a fraction.
        loss_difference: training loss minus the baseline's, paired by seed; None for the
            baseline itself, or where there is none.
        accuracy_difference: the same of test accuracy.
        diverged: seeds whose final measures are not finite.
    """

    arm: str
    curves: Mapping[str, str]
    planned: int
    train_loss: Cell
    test_accuracy: Cell
    loss_difference: Cell | None
    accuracy_difference: Cell | None
    diverged: tuple[int, ...]

    @property
    def n(self) -> int:
        """How many runs have finished."""
        return self.train_loss.n


@dataclass(frozen=True)
class StudyTable:
    """Every arm of a study, in the manifest's order.

    Attributes:
        baseline: the arm the others are compared with; None if the study has no such arm.
        rows: one row an arm.
        planned: how many runs the study plans.
        missing: how many of them have not finished.
    """

    baseline: str | None
    rows: tuple[ArmRow, ...]
    planned: int
    missing: int

    @property
    def compared(self) -> tuple[ArmRow, ...]:
        """The rows that are compared with the baseline."""
        return tuple(row for row in self.rows if row.accuracy_difference is not None)


def study_table(study: Study) -> StudyTable:
    """Return the table of a study, also of one that has not finished.

    Final measures come from the summaries of finished runs. Differences take the seeds that
    have finished in both arms.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    manifest = study.manifest
    baseline = manifest.baseline if manifest.baseline in manifest.arms else None
    rows = tuple(_row(study, arm, baseline) for arm in manifest.arms)
    return StudyTable(baseline, rows, len(manifest.plan), len(study.missing))


def _row(study: Study, arm: str, baseline: str | None) -> ArmRow:
    losses, accuracies = _losses(study.of_arm(arm)), _accuracies(study.of_arm(arm))
    reference = study.of_arm(baseline) if baseline not in (None, arm) else None
    whole = [s for s in losses if math.isfinite(losses[s]) and math.isfinite(accuracies[s])]
    return ArmRow(
        arm=arm,
        curves=study.manifest.arms[arm],
        planned=len(study.manifest.seeds),
        train_loss=_mean(losses),
        test_accuracy=_mean(accuracies),
        loss_difference=None if reference is None else _difference(losses, _losses(reference)),
        accuracy_difference=None
        if reference is None
        else _difference(accuracies, _accuracies(reference)),
        diverged=tuple(seed for seed in losses if seed not in whole),
    )


def _mean(values: Mapping[int, float]) -> Cell:
    return Cell(values, mean_interval(list(values.values())) if _enough(values) else None)


def _difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Cell:
    seeds = [seed for seed in ours if seed in theirs]
    left, right = ({seed: side[seed] for seed in seeds} for side in (ours, theirs))
    values = {seed: left[seed] - right[seed] for seed in seeds}
    return Cell(values, paired_difference(left, right) if _enough(values) else None)


def _enough(values: Mapping[int, float]) -> bool:
    return len(values) >= 2 and all(map(math.isfinite, values.values()))


def _losses(runs: tuple[Run, ...]) -> dict[int, float]:
    return {run.seed: run.summary.final.train_loss for run in runs if run.summary}


def _accuracies(runs: tuple[Run, ...]) -> dict[int, float]:
    return {run.seed: run.summary.final.test_accuracy for run in runs if run.summary}
