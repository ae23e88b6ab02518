"""The figure of training-loss curves: one line an arm, its mean over seeds, a band around it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from droptime.records import Run, Study
from droptime.report.style import canvas, line_styles, name_arms
from droptime.stats import mean_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLES = {"dropout": "Dropout", "drop_path": "Stochastic depth", "": "All arms"}
_LOG_FROM = 5.0
"""A loss that falls by more than this factor is drawn on a logarithmic axis."""

_DOTS = 6
"""Up to so many evaluations each has a dot: a line between few of them is only a guide."""


@dataclass(frozen=True)
class CurvePoint:
    """An arm's training loss at one moment, over its finished runs.

    Attributes:
        arm: the arm.
        family: what it drives: ``dropout``, ``drop_path``, several joined by ``+``, or ``""``.
        step: 0-based optimizer step after which it was measured.
        epoch: epochs done.
        mean: mean over seeds, nats, drop off, un-augmented training set.
        low: lower end of the interval of the mean; the mean itself with one seed.
        high: upper end.
        n: how many seeds.
    """

    arm: str
    family: str
    step: int
    epoch: float
    mean: float
    low: float
    high: float
    n: int


def loss_curves_data(study: Study) -> tuple[CurvePoint, ...]:
    """Return the points of every arm's curve, in the manifest's and the steps' order.

    Moments at which a run's loss is not finite are left out, as are unfinished runs.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    return tuple(
        point
        for arm, curves in study.manifest.arms.items()
        for point in _arm_points(arm, "+".join(curves), study.of_arm(arm))
    )


def _arm_points(arm: str, family: str, runs: Sequence[Run]) -> Iterator[CurvePoint]:
    measured: dict[tuple[int, float], list[float]] = {}
    for run in runs:
        weights = run.summary.final.weights if run.summary else "raw"
        for row in run.evals:
            if row.weights == weights:
                measured.setdefault((row.step, row.epoch), []).append(row.train_loss)
    for (step, epoch), losses in sorted(measured.items()):
        if len(losses) < len(runs) or not all(map(math.isfinite, losses)):
            continue
        if len(losses) == 1:
            yield CurvePoint(arm, family, step, epoch, losses[0], losses[0], losses[0], 1)
            continue
        mean = mean_interval(losses)
        yield CurvePoint(arm, family, step, epoch, mean.mean, mean.low, mean.high, mean.n)


def draw_loss_curves(points: Sequence[CurvePoint]) -> Figure:
    """Draw the curves, one panel for each kind of drop, the arm that drops nothing in each.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    families = list(dict.fromkeys(p.family for p in points if p.family)) or [""]
    styles = line_styles(dict.fromkeys(p.arm for p in points))
    with canvas(7.2, 3.6) as figure:
        panels = figure.subplots(1, len(families), sharey=True, squeeze=False)[0]
        for axes, family in zip(panels, families, strict=True):
            shown = [p for p in points if p.family in ("", family)]
            for arm in dict.fromkeys(p.arm for p in shown):
                _draw_arm(axes, [p for p in shown if p.arm == arm], **styles[arm])
            if len(families) > 1:
                axes.set_title(_TITLES.get(family, "Both at once"))
            axes.set_xlabel("epoch")
        _scale(panels[0], points)
        name_arms(figure)
    return figure


def _draw_arm(axes: Axes, points: Sequence[CurvePoint], *, color: str, linestyle: str) -> None:
    epochs = [p.epoch for p in points]
    axes.fill_between(
        epochs, [p.low for p in points], [p.high for p in points], color=color, alpha=0.15, lw=0
    )
    axes.plot(
        epochs,
        [p.mean for p in points],
        color=color,
        linestyle=linestyle,
        marker="o" if len(points) <= _DOTS else "",
        markersize=3,
        label=points[0].arm,
    )


def _scale(axes: Axes, points: Sequence[CurvePoint]) -> None:
    axes.set_ylabel("training loss, nats")
    means = [p.mean for p in points]
    if min(means) > 0 and max(means) > _LOG_FROM * min(means):
        from matplotlib.ticker import LogLocator, NullLocator

        axes.set_yscale("log")
        axes.set_ylim(bottom=min(means) / 1.5)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylabel("training loss, nats (log scale)")
