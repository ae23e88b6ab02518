"""Drawings of gradients over iterations: values by kind of drop, differences by arm."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, TypeAlias

from droptime.report.dynamics import DynamicsLine
from droptime.report.style import MUTED, canvas, line_styles, name_arms

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panels: TypeAlias = Sequence[tuple[str, Sequence[DynamicsLine]]]
"""The label of each panel's vertical axis, and its lines."""


def draw_dynamics(panels: Panels) -> Figure:
    """Draw values over iterations: a panel for each (label, lines), a row for each kind of drop.

    The arm that drops nothing is in every row. Iterations are on a logarithmic axis, 0 included,
    where they were measured densely at first.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    families = list(dict.fromkeys(x.family for _, lines in panels for x in lines if x.family))
    rows = [
        [(label, [x for x in lines if x.family in ("", family)]) for label, lines in panels]
        for family in families or [""]
    ]
    with canvas(7.2, 0.5 + 2.8 * len(rows)) as figure:
        grid = figure.subplots(len(rows), len(panels), squeeze=False)
        _draw_grid(grid, rows)
        name_arms(figure)
    return figure


def draw_dynamics_differences(panels: Panels) -> Figure:
    """Draw differences over iterations: a panel for each (label, lines), a row for each arm.

    Zero is marked, and on it each crossing: a thick bar from the last iteration settled on one
    side to the first settled on the other, a dot where the mean crosses.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    arms = list(dict.fromkeys(x.arm for _, lines in panels for x in lines))
    rows = [
        [(label, [x for x in lines if x.arm == arm]) for label, lines in panels] for arm in arms
    ]
    styles = line_styles(arms)
    with canvas(7.2, 0.5 + (2.6 if len(rows) == 1 else 2.0) * len(rows)) as figure:
        grid = figure.subplots(len(rows), len(panels), squeeze=False, sharex=True, sharey="col")
        _draw_grid(grid, rows)
        for arm, places in zip(arms, grid, strict=True):
            colour = styles[arm]["color"]
            places[0].set_title(arm, color=colour, fontsize=9, fontweight="normal", pad=6)
            for axes in places:
                axes.axhline(0, color=MUTED, linewidth=1, zorder=1)
    return figure


def _draw_grid(grid: Any, rows: Sequence[Panels]) -> None:  # noqa: ANN401 - an array of axes
    every = [line for row in rows for _, lines in row for line in lines]
    styles = line_styles(dict.fromkeys(line.arm for line in every))
    steps = [moment.step for line in every for moment in line.moments]
    for places, row in zip(grid, rows, strict=True):
        for axes, (label, lines) in zip(places, row, strict=True):
            for line in lines:
                _draw_line(axes, line, **styles[line.arm])
                _mark_crossings(axes, line, colour=styles[line.arm]["color"])
            axes.set_ylabel(label)
            axes.locator_params(axis="y", nbins=5)
            _scale_iterations(axes, steps)
    for axes in grid[-1]:
        axes.set_xlabel("iteration (log scale)" if axes.get_xscale() == "symlog" else "iteration")


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


def _scale_iterations(axes: Axes, steps: Sequence[int]) -> None:
    """Make the horizontal axis logarithmic if the first gap is far smaller than most."""
    places = sorted(set(steps))
    gaps = [right - left for left, right in pairwise(places)]
    if gaps and gaps[0] <= median(gaps) / 3:
        first = next(step for step in places if step > 0)
        axes.set_xscale("symlog", linthresh=first, linscale=0.5)
        axes.set_xlim(left=None if places[0] else -0.15 * first, right=places[-1] * 1.15)
    else:
        axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter("{x:,.0f}")
