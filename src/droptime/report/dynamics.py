"""What figures of gradients show: each arm over the run, and what dropout changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from droptime.records import Study
from droptime.regime import (
    Crossing,
    Moment,
    arm_series,
    baseline_arm,
    directions_halved,
    find_crossings,
    paired_series,
)

DIRECTIONS = {"variance": "GDV", "error": "GDE"}
"""Name of a direction in the rows -> its short name."""


@dataclass(frozen=True)
class DynamicsLine:
    """One arm's line in a panel.

    Attributes:
        arm: the arm.
        family: what it drives: ``dropout``, ``drop_path``, both joined by ``+``, or ``""``.
        measure: name of the value in the rows.
        moments: mean over seeds and its interval, step by step.
        crossings: where a difference crosses zero; empty for other values.
    """

    arm: str
    family: str
    measure: str
    moments: tuple[Moment, ...]
    crossings: tuple[Crossing, ...] = ()

    @property
    def n(self) -> int:
        """How many seeds, or pairs of runs."""
        return self.moments[0].n


def dynamics_data(study: Study, measure: str) -> tuple[DynamicsLine, ...]:
    """Return a measured value of each arm at its own weights.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    return _lines(study, measure, lambda arm: arm_series(study, arm, measure))


def between_data(study: Study, measure: str) -> tuple[DynamicsLine, ...]:
    """Return each arm minus the arm that drops nothing at the same step, paired by seed.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    base = baseline_arm(study)
    if base is None:
        return ()
    lines = _lines(
        study, measure, lambda arm: paired_series(study, arm, base, name=measure), crossed=True
    )
    return tuple(line for line in lines if line.arm != base)


def within_data(study: Study, measure: str) -> tuple[DynamicsLine, ...]:
    """Return what dropout does at the same weights and mini-batches: with it minus without.

    Steps at which nothing drops, where records say exactly 0, are left out.

    Raises:
        MissingExtraError: SciPy is not installed.

    Args:
        study: the records.
        measure: ``variance`` or ``error``.
    """

    def dropping(arm: str) -> tuple[Moment, ...]:
        moments = arm_series(study, arm, f"{measure}_effect")
        return tuple(m for m in moments if any(m.values.values()))

    return _lines(study, measure, dropping, crossed=True)


def direction_label(study: Study, measure: str) -> str:
    """Name a direction with its scale, as an axis does: ``GDV, (1 - cos) / 2``."""
    return f"{DIRECTIONS[measure]}, {'(1 - cos) / 2' if directions_halved(study) else '1 - cos'}"


def _lines(
    study: Study,
    measure: str,
    series: Callable[[str], tuple[Moment, ...]],
    *,
    crossed: bool = False,
) -> tuple[DynamicsLine, ...]:
    """The lines of the arms whose series is not empty, in the manifest's order."""
    return tuple(
        DynamicsLine(
            arm, "+".join(curves), measure, moments, find_crossings(moments) if crossed else ()
        )
        for arm, curves in study.manifest.arms.items()
        if (moments := series(arm))
    )
