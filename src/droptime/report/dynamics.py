"""Figures of gradients: each arm over the run, and what dropout changes, zero marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from droptime.records import Study
from droptime.regime import (
    Crossing,
    Moment,
    arm_series,
    directions_halved,
    find_crossings,
    paired_series,
)
from droptime.report.style import MUTED, canvas, line_styles

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIRECTIONS = {"variance": "GDV", "error": "GDE"}
"""Name of a direction in the rows -> its short name."""


@dataclass(frozen=True)
class DynamicsLine:
    """One arm's line in a panel.

    Attributes:
        arm: the arm.
        measure: name of the value in the rows.
        moments: mean over seeds and its interval, step by step.
        crossings: where a difference crosses zero; empty for other values.
    """

    arm: str
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
    series = ((arm, arm_series(study, arm, measure)) for arm in study.manifest.arms)
    return tuple(DynamicsLine(arm, measure, moments) for arm, moments in series if moments)


def between_data(study: Study, measure: str) -> tuple[DynamicsLine, ...]:
    """Return each arm minus the baseline at the same step, paired by seed.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    base = study.manifest.baseline
    return _differences(
        (arm, measure, paired_series(study, arm, base, name=measure))
        for arm in study.manifest.arms
        if arm != base
    )


def within_data(study: Study, measure: str) -> tuple[DynamicsLine, ...]:
    """Return what dropout does at the same weights and mini-batches: with it minus without.

    Raises:
        MissingExtraError: SciPy is not installed.

    Args:
        study: the records.
        measure: ``variance`` or ``error``.
    """
    return _differences(
        (arm, measure, arm_series(study, arm, f"{measure}_effect")) for arm in study.manifest.arms
    )


def direction_label(study: Study, measure: str) -> str:
    """Name a direction with its scale, as an axis does: ``GDV, (1 - cos) / 2``."""
    return f"{DIRECTIONS[measure]}, {'(1 - cos) / 2' if directions_halved(study) else '1 - cos'}"


def _differences(
    series: Iterable[tuple[str, str, tuple[Moment, ...]]],
) -> tuple[DynamicsLine, ...]:
    return tuple(
        DynamicsLine(arm, measure, moments, find_crossings(moments))
        for arm, measure, moments in series
        if moments
    )


def draw_dynamics(panels: Sequence[tuple[str, Sequence[DynamicsLine]]]) -> Figure:
    """Draw values over iterations, one panel for each (label, lines).

    Iterations are on a logarithmic axis, 0 included, where they were measured densely at first.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    return _draw(panels, zero=False)


def draw_dynamics_differences(panels: Sequence[tuple[str, Sequence[DynamicsLine]]]) -> Figure:
    """Draw differences over iterations: zero marked, and on it each crossing.

    A thick bar goes from the last iteration settled on one side to the first settled on the other,
    a dot marks where the mean crosses.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    return _draw(panels, zero=True)


def _draw(panels: Sequence[tuple[str, Sequence[DynamicsLine]]], *, zero: bool) -> Figure:
    arms = dict.fromkeys(line.arm for _, lines in panels for line in lines)
    styles = line_styles(arms)
    with canvas(7.2, 3.3) as figure:
        places = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (label, lines) in zip(places, panels, strict=True):
            if zero:
                axes.axhline(0, color=MUTED, linewidth=1, zorder=1)
            for line in lines:
                _draw_line(axes, line, **styles[line.arm])
                _mark_crossings(axes, line, colour=styles[line.arm]["color"])
            _iterations(axes, [m.step for line in lines for m in line.moments])
            axes.set_ylabel(label)
            axes.locator_params(axis="y", nbins=6)
        _name_arms(figure, places)
    return figure


def _draw_line(axes: Axes, line: DynamicsLine, *, color: str, linestyle: str) -> None:
    steps = [m.step for m in line.moments]
    lows, highs = [m.low for m in line.moments], [m.high for m in line.moments]
    axes.fill_between(steps, lows, highs, color=color, alpha=0.15, lw=0)
    axes.plot(
        steps,
        [m.mean for m in line.moments],
        color=color,
        linestyle=linestyle,
        marker="o",
        markersize=1.8,
        linewidth=1.3,
        label=line.arm,
    )


def _mark_crossings(axes: Axes, line: DynamicsLine, *, colour: str) -> None:
    for found in line.crossings:
        ends = [found.after, found.before]
        axes.plot(ends, [0, 0], color=colour, linewidth=5, alpha=0.45, zorder=4)
        axes.plot(found.at, 0, "o", color=colour, markeredgecolor="white", markersize=6, zorder=5)


def _iterations(axes: Axes, steps: Sequence[int]) -> None:
    """Scale the horizontal axis: logarithmic if the first gap is far smaller than most."""
    places = sorted(set(steps))
    axes.set_xlabel("iteration")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params(axis="x", nbins=5)
    gaps = [right - left for left, right in pairwise(places)]
    if not gaps or gaps[0] > median(gaps) / 3:
        return
    first = next(step for step in places if step > 0)
    axes.set_xscale("symlog", linthresh=first, linscale=0.5)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlim(left=-0.15 * first if places[0] == 0 else None, right=places[-1] * 1.15)
    axes.set_xlabel("iteration (log scale)")


def _name_arms(figure: Figure, places: Sequence[Axes]) -> None:
    """Name each arm once, above the panels."""
    lines: dict[Any, Artist] = {}
    for axes in places:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            lines.setdefault(label, handle)
    figure.legend(
        lines.values(),
        lines.keys(),
        loc="outside upper left",
        ncols=min(len(lines), 4),
        labelcolor="linecolor",
    )
