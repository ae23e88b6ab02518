"""What a probe measured, step by step: one arm over its seeds, or two arms paired by seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from droptime.errors import RecordError
from droptime.records import DynamicsRow, Run, Study
from droptime.stats import Estimate, mean_interval


@dataclass(frozen=True)
class Moment:
    """A quantity at one step, over the seeds.

    Attributes:
        step: optimizer steps done; 0 is the initial weights.
        epoch: epochs done.
        values: seed -> value.
        estimate: their mean with its interval; None with one seed.
    """

    step: int
    epoch: float
    values: Mapping[int, float]
    estimate: Estimate | None

    @property
    def n(self) -> int:
        """How many seeds."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return sum(self.values.values()) / self.n

    @property
    def low(self) -> float:
        """Lower end of the mean's interval; the value itself with one seed."""
        return self.estimate.low if self.estimate else self.mean

    @property
    def high(self) -> float:
        """Upper end of the mean's interval; the value itself with one seed."""
        return self.estimate.high if self.estimate else self.mean

    @property
    def sign(self) -> int:
        """1 or -1 where the interval leaves out zero, else 0."""
        return self.estimate.sign if self.estimate else 0


def arm_series(study: Study, arm: str, name: str) -> tuple[Moment, ...]:
    """Return a quantity of one arm's finished runs, by step.

    Only runs that measured it at some step count. A step at which one of them did not, or found
    a value that is not finite, is left out: so n is the same along the series.

    Raises:
        MissingExtraError: SciPy is not installed.

    Args:
        study: the records.
        arm: the arm.
        name: a name of ``DynamicsRow.values``, such as ``variance``.
    """
    runs = {run.seed: _measured(run, name) for run in study.of_arm(arm)}
    return _moments({seed: rows for seed, rows in runs.items() if rows})


def paired_series(
    study: Study, arm: str, baseline: str, *, name: str, relative: bool = False
) -> tuple[Moment, ...]:
    """Return ``arm`` minus ``baseline`` of runs with the same seed, at the steps both measured.

    Args:
        study: the records.
        arm: the arm.
        baseline: the arm it is compared with.
        name: a name of ``DynamicsRow.values``.
        relative: divide each difference by the baseline's value. Steps at which that is 0, as a
            distance is at the start, are left out.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    ours = {run.seed: _measured(run, name) for run in study.of_arm(arm)}
    theirs = {run.seed: _measured(run, name) for run in study.of_arm(baseline)}
    pairs = [seed for seed in ours if ours[seed] and theirs.get(seed)]
    return _moments(
        {seed: _differences(ours[seed], theirs[seed], relative=relative) for seed in pairs}
    )


def has_dynamics(study: Study) -> bool:
    """Whether a finished run has measurements of its gradients."""
    return any(run.dynamics for run in study.finished)


def directions_halved(study: Study) -> bool:
    """Whether directions are ``(1 - cos) / 2`` in all of the study's runs, or ``1 - cos`` in all.

    Raises:
        RecordError: they are on one scale in some rows and on the other in others.
    """
    scales = {row.halved: run for run in study.finished for row in run.dynamics}
    if len(scales) > 1:
        raise RecordError(
            f"{scales[True].path} has directions as (1 - cos) / 2, {scales[False].path} as "
            "1 - cos: they cannot be compared. Measure all runs of a study on one scale."
        )
    return False not in scales


_Row = tuple[float, float]


def _measured(run: Run, name: str) -> dict[int, _Row]:
    """Step -> (epoch, value)."""
    return {row.step: (row.epoch, row.values[name].value) for row in _with(run, name)}


def _with(run: Run, name: str) -> Iterator[DynamicsRow]:
    return (row for row in run.dynamics if name in row.values)


def _differences(
    ours: Mapping[int, _Row], theirs: Mapping[int, _Row], *, relative: bool
) -> dict[int, _Row]:
    found = {}
    for step, (epoch, value) in ours.items():
        other = theirs[step][1] if step in theirs else math.nan
        scale = other if relative else 1.0
        found[step] = (epoch, (value - other) / scale if scale else math.nan)
    return found


def _moments(runs: Mapping[int, Mapping[int, _Row]]) -> tuple[Moment, ...]:
    if not runs:
        return ()
    shared = set.intersection(*(set(rows) for rows in runs.values()))
    return tuple(moment for step in sorted(shared) if (moment := _moment(step, runs)) is not None)


def _moment(step: int, runs: Mapping[int, Mapping[int, _Row]]) -> Moment | None:
    values = {seed: rows[step][1] for seed, rows in runs.items()}
    if not all(map(math.isfinite, values.values())):
        return None
    estimate = mean_interval(list(values.values())) if len(values) > 1 else None
    epoch = next(iter(runs.values()))[step][0]
    return Moment(step, epoch, values, estimate)
