"""The figure of paired differences: a dot and an interval for each arm, zero marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from droptime.report.style import MUTED, canvas, line_styles
from droptime.report.table import ArmRow, Cell, StudyTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOSS, ACCURACY = "final training loss, nats", "test accuracy, points"


@dataclass(frozen=True)
class Difference:
    """An arm's paired difference to the baseline in one measure.

    Attributes:
        arm: the arm.
        measure: what is compared, with its unit.
        mean: mean of arm minus baseline.
        low: lower end of its interval.
        high: upper end.
        n: how many pairs of runs.
        decided: whether the interval is off zero.
        values: the differences of the single seeds.
    """

    arm: str
    measure: str
    mean: float
    low: float
    high: float
    n: int
    decided: bool
    values: tuple[float, ...]


def differences_data(table: StudyTable) -> tuple[Difference, ...]:
    """Return every difference that has an interval, by measure, arms in the table's order."""
    return (
        *_measure(table, LOSS, lambda row: row.loss_difference, scale=1.0),
        *_measure(table, ACCURACY, lambda row: row.accuracy_difference, scale=100.0),
    )


def _measure(
    table: StudyTable, measure: str, cell: Callable[[ArmRow], Cell | None], *, scale: float
) -> Iterator[Difference]:
    for row in table.rows:
        found = cell(row)
        if found is None or found.estimate is None:
            continue
        e = found.estimate
        yield Difference(
            arm=row.arm,
            measure=measure,
            mean=e.mean * scale,
            low=e.low * scale,
            high=e.high * scale,
            n=e.n,
            decided=found.sign != 0,
            values=tuple(value * scale for value in found.values.values()),
        )


def draw_differences(differences: Sequence[Difference]) -> Figure:
    """Draw one panel a measure: filled dots where the interval is off zero, open ones else.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    arms = list(dict.fromkeys(d.arm for d in differences))
    measures = list(dict.fromkeys(d.measure for d in differences))
    with canvas(7.2, 1.1 + 0.36 * len(arms)) as figure:
        panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
        for axes, measure in zip(panels, measures, strict=True):
            axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
            axes.grid(visible=True, axis="x")
            axes.grid(visible=False, axis="y")
            axes.set_title(f"{measure[0].upper()}{measure[1:]}")
            axes.set_xlabel("difference to the baseline")
            axes.locator_params(axis="x", nbins=5)
            _draw_panel(axes, [d for d in differences if d.measure == measure], arms)
        panels[0].set_yticks(range(len(arms)), arms)
        panels[0].set_ylim(len(arms) - 0.4, -0.6)
    return figure


def _draw_panel(axes: Axes, differences: Sequence[Difference], arms: Sequence[str]) -> None:
    styles = line_styles(arms)
    for d in differences:
        place, colour = arms.index(d.arm), styles[d.arm]["color"]
        axes.plot(
            d.values, [place + 0.24] * d.n, "|", color=colour, alpha=0.55, markersize=5, zorder=2
        )
        axes.plot([d.low, d.high], [place, place], color=colour, linewidth=2, zorder=3)
        axes.plot(
            d.mean,
            place,
            "o",
            color=colour,
            markerfacecolor=colour if d.decided else "white",
            markersize=6.5,
            zorder=4,
        )
