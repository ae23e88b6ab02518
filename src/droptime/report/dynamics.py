"""Figures of gradients: norm, distance and direction of each arm, and what dropout changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from droptime.records import Study
from droptime.regime.observations import by_seed, difference
from droptime.report.style import MUTED, canvas, line_styles
from droptime.stats import Estimate, mean_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WITHIN = {"variance": "variance_effect", "error": "error_effect"}
"""A direction -> what dropout does to it at the same weights and mini-batches."""


@dataclass(frozen=True)
class Point:
    """A measured value at one step, over the seeds of an arm.

    Attributes:
        arm: the arm.
        measure: name of the value in the rows.
        step: optimizer steps done.
        mean: mean over seeds.
        low: lower end of its interval; the mean itself with one seed.
        high: upper end.
        n: how many seeds.
    """

    arm: str
    measure: str
    step: int
    mean: float
    low: float
    high: float
    n: int


def dynamics_data(study: Study, measure: str) -> tuple[Point, ...]:
    """Return an arm's values at the steps that all its finished runs measured, arm by arm."""
    return tuple(point for arm in study.manifest.arms for point in _arm_points(study, arm, measure))


def _arm_points(study: Study, arm: str, measure: str) -> Iterator[Point]:
    seeds = [steps for steps in by_seed(study, arm, measure).values() if steps]
    for step in sorted(set[int].intersection(*(set(steps) for steps in seeds)) if seeds else ()):
        values = [steps[step] for steps in seeds]
        if len(values) == 1:
            yield Point(arm, measure, step, values[0], values[0], values[0], 1)
        else:
            yield _point(arm, measure, step, mean_interval(values))


def effects_data(study: Study, measure: str) -> tuple[Point, ...]:
    """Return each arm's paired difference to the baseline at every step that two pairs measured."""
    base = study.manifest.baseline
    theirs = by_seed(study, base, measure)
    points = []
    for arm in study.manifest.arms:
        ours = by_seed(study, arm, measure) if arm != base else {}
        for step in sorted({step for steps in ours.values() for step in steps}):
            sides = (
                {seed: steps[step] for seed, steps in side.items() if step in steps}
                for side in (ours, theirs)
            )
            if found := difference(*sides):
                points.append(_point(arm, measure, step, found))
    return tuple(points)


def crossing(points: Sequence[Point]) -> tuple[int, int] | None:
    """Where a difference goes from below zero to above it, by intervals that leave out zero.

    Returns:
        The last step that lies below before the first that lies above; None: not seen.
    """
    below: int | None = None
    for point in points:
        if point.high < 0:
            below = point.step
        elif point.low > 0 and below is not None:
            return below, point.step
    return None


def crossing_sentence(points: Sequence[Point]) -> str:
    """In words, for each arm: where its difference crosses zero."""
    sentences = []
    for arm in dict.fromkeys(point.arm for point in points):
        found = crossing([point for point in points if point.arm == arm])
        where = f"between steps {found[0]:,} and {found[1]:,}" if found else "no crossing seen"
        sentences.append(f"{arm}: {where}")
    return "; ".join(sentences)


def _point(arm: str, measure: str, step: int, found: Estimate) -> Point:
    return Point(arm, measure, step, found.mean, found.low, found.high, found.n)


def draw_dynamics(panels: Sequence[tuple[str, Sequence[Point]]], *, zero: bool = False) -> Figure:
    """Draw points as lines with bands over iterations, one panel for each (label, points).

    Args:
        panels: the label of the vertical axis, and what stands in the panel.
        zero: mark zero, for differences.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    styles = line_styles(dict.fromkeys(point.arm for _, points in panels for point in points))
    with canvas(7.2, 3.2) as figure:
        for axes, (label, points) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            if zero:
                axes.axhline(0, color=MUTED, linewidth=0.8)
            for arm, style in styles.items():
                _draw_arm(axes, [point for point in points if point.arm == arm], **style)
            axes.set_xscale("symlog", linthresh=1)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.set_xlabel("optimizer steps done")
            axes.set_title(label, fontsize=9, fontweight="normal")
            axes.legend(labelcolor="linecolor")
    return figure


def _draw_arm(axes: Axes, points: Sequence[Point], *, color: str, linestyle: str) -> None:
    if not points:
        return
    steps = [point.step for point in points]
    lows, highs = [p.low for p in points], [p.high for p in points]
    axes.fill_between(steps, lows, highs, color=color, alpha=0.15, lw=0)
    means = [point.mean for point in points]
    axes.plot(
        steps, means, color=color, linestyle=linestyle, marker="o", ms=2.5, label=points[0].arm
    )
