"""The figure of drop schedules: rates over a run, as few points as the eye and the edges need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from droptime.errors import ClockError, ConfigError
from droptime.report.style import MUTED, canvas, line_styles, save
from droptime.schedules import cutoffs
from droptime.types import Clock, Curve, Rate, Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TOLERANCE = 1e-3
"""How far a drawn line may be from the curve, as a fraction of the highest rate in the figure."""


@dataclass(frozen=True)
class ScheduleLine:
    """One curve as points; between them it is straight to within the tolerance."""

    label: str
    steps: tuple[Step, ...]
    rates: tuple[Rate, ...]


@dataclass(frozen=True)
class ScheduleData:
    """What the figure shows: the clock, and one line for each curve."""

    clock: Clock
    lines: tuple[ScheduleLine, ...]


def schedule_data(curves: Mapping[str, Curve], clock: Clock) -> ScheduleData:
    """Return each curve's points over the run: exact, and as few as a faithful line needs.

    The first and the last step are always there, and both sides of every cutoff. Cost: one call
    of each schedule for each step of the run.

    >>> from droptime.schedules import early
    >>> data = schedule_data({"early": early(0.1, until="5st")}, Clock(total_steps=100))
    >>> data.lines[0].steps, data.lines[0].rates
    ((0, 4, 5, 99), (0.1, 0.0, 0.0, 0.0))

    Args:
        curves: label to curve.
        clock: must know the end of the run.

    Raises:
        ClockError: the clock does not know the end, or cannot resolve a curve.
        CurveError: a curve makes no sense in this run.
    """
    if clock.total_steps is None:
        raise ClockError(
            f"Schedules are drawn to the end of the run, which {clock} does not know: "
            "give epochs and steps_per_epoch, or total_steps."
        )
    rates = {label: _sample(curve, clock) for label, curve in curves.items()}
    tolerance = TOLERANCE * max((float(table.max()) for table in rates.values()), default=0.0)
    lines = []
    for label, curve in curves.items():
        edges = {step - side for step in cutoffs(curve, clock) for side in (0, 1)}
        steps = _corners(rates[label], edges, tolerance)
        points = tuple(float(rates[label][step]) for step in steps)
        lines.append(ScheduleLine(label, steps, points))
    return ScheduleData(clock, tuple(lines))


def draw_schedules(data: ScheduleData, path: str | Path, *, title: str = "") -> Path:
    """Draw the schedules as svg or png, by the path's suffix; return the path.

    Each curve has a strip of its own, for schedules lie on one another for most of a run. All
    strips share both scales; time is in epochs if the clock knows them, else in steps.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigError: there is nothing to draw, or the suffix is neither ``.svg`` nor ``.png``.
    """
    if not data.lines:
        raise ConfigError("There is no schedule to draw: give at least one curve.")
    top = max(max(line.rates) for line in data.lines) or 1.0
    styles = line_styles(line.label for line in data.lines)
    with canvas(7.2, 0.66 * len(data.lines) + (0.95 if title else 0.65)) as figure:
        strips = figure.subplots(len(data.lines), 1, sharex=True, squeeze=False)[:, 0]
        for strip, line in zip(strips, data.lines, strict=True):
            _draw_strip(strip, line, data.clock, top=top, colour=styles[line.label]["color"])
        _draw_time(strips[-1], data.clock)
        figure.supylabel("drop rate", fontsize=9, color=MUTED)
        if title:
            figure.suptitle(title, x=0.012, ha="left", fontsize=10.5, fontweight="bold")
        return save(figure, path)


def _draw_strip(axes: Axes, line: ScheduleLine, clock: Clock, *, top: Rate, colour: str) -> None:
    moments = [step / (clock.steps_per_epoch or 1) for step in line.steps]
    axes.fill_between(moments, line.rates, color=colour, alpha=0.14, linewidth=0, zorder=2)
    axes.plot(moments, line.rates, color=colour, clip_on=False, zorder=3)
    axes.set_title(line.label, color=colour, fontsize=9, fontweight="normal", pad=6)
    axes.set_ylim(0, top)
    highest = max(line.rates)
    axes.set_yticks([highest] if highest < top / 3 else [0.0, highest])
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.tick_params(axis="x", length=0)
    axes.spines["left"].set_visible(False)


def _draw_time(axes: Axes, clock: Clock) -> None:
    axes.set_xlim(0, (clock.total_steps or 1) / (clock.steps_per_epoch or 1))
    axes.set_xlabel("epoch" if clock.steps_per_epoch else "step")
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.tick_params(axis="x", length=3)


def _sample(curve: Curve, clock: Clock) -> NDArray[np.float64]:
    schedule, total = curve.resolve(clock), clock.total_steps or 0
    return np.fromiter((schedule(step) for step in range(total)), dtype=np.float64, count=total)


def _corners(rates: NDArray[np.float64], edges: set[Step], tolerance: float) -> tuple[Step, ...]:
    """Return the steps between which straight lines are near enough (Douglas & Peucker, 1973)."""
    last = len(rates) - 1
    kept = {0, last} | {step for step in edges if 0 <= step <= last}
    ends = sorted(kept)
    spans = list(pairwise(ends))
    while spans:
        start, end = spans.pop()
        line = np.linspace(rates[start], rates[end], end - start + 1)
        gaps = np.abs(rates[start : end + 1] - line)
        worst = start + int(gaps.argmax())
        if gaps.max() > max(tolerance, 1e-12):
            kept.add(worst)
            spans += [(start, worst), (worst, end)]
    return tuple(sorted(kept))
