"""Which figures of gradients a study has, under which names, and what their captions say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from droptime.records import Study
from droptime.regime import baseline_arm, crossing_text
from droptime.report.dynamics import (
    DIRECTIONS,
    between_data,
    direction_label,
    dynamics_data,
    within_data,
)
from droptime.report.dynamics_drawing import Panels, draw_dynamics, draw_dynamics_differences
from droptime.report.figure_file import FigureFile, counts_text
from droptime.report.style import save
from droptime.stats import LEVEL

_SIZES = {
    "gradient_norm": "gradient norm",
    "distance": "distance from the initial weights",
}
_BAR = (
    " Thick bar on zero: from the last iteration settled on one side to the first settled on the "
    "other, by two intervals in a row; dot: where the mean crosses."
)


def draw_dynamics_figures(study: Study, folder: Path) -> tuple[FigureFile, ...]:
    """Draw every figure of gradients that the records allow; none where none was measured.

    Raises:
        MissingExtraError: matplotlib or SciPy is not installed.
        RecordError: runs have directions on different scales, or the disk refuses.
    """
    figures = (_sizes, _directions, _between, _within)
    return tuple(figure for draw in figures for figure in draw(study, folder))


def _sizes(study: Study, folder: Path) -> Iterator[FigureFile]:
    panels = [(label, dynamics_data(study, name)) for name, label in _SIZES.items()]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return
    path = save(draw_dynamics(panels), folder / "gradient-size.svg")
    caption = (
        "Mean norm of the mini-batch gradients over all trained parameters, and how far the "
        f"weights have come from where they began. {_lines(panels, 'finished runs an arm')} "
        f"{_measured(study)}"
    )
    yield FigureFile(path, "Gradient norm and model distance", caption)


def _directions(study: Study, folder: Path) -> Iterator[FigureFile]:
    panels = [(direction_label(study, name), dynamics_data(study, name)) for name in DIRECTIONS]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return
    path = save(draw_dynamics(panels), folder / "gradient-direction.svg")
    caption = (
        "GDV: mean cosine distance between mini-batch gradients. GDE: that of mini-batch gradients "
        "to the gradient of the whole data set without dropout. Mini-batch gradients are those of "
        f"training, dropout active. {_lines(panels, 'finished runs an arm')} {_measured(study)}"
    )
    yield FigureFile(path, "Gradient direction variance and error", caption)


def _between(study: Study, folder: Path) -> Iterator[FigureFile]:
    base = baseline_arm(study)
    panels = [(name, between_data(study, name)) for name in DIRECTIONS]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return
    labelled = [(f"{direction_label(study, n)}\nminus {base}", lines) for n, lines in panels]
    path = save(draw_dynamics_differences(labelled), folder / "direction-between-arms.svg")
    caption = (
        f"Each arm minus {base} at the same iteration, each at its own weights, paired by seed. "
        f"Below zero: the arm's mini-batch gradients are more consistent (GDV) or closer to the "
        f"whole data's (GDE). {_crossings(panels, f'minus {base}')} "
        f"{_lines(panels, 'pairs of runs')}{_bar(panels)} {_measured(study)}"
    )
    yield FigureFile(path, "What dropout changes between runs", caption)


def _within(study: Study, folder: Path) -> Iterator[FigureFile]:
    panels = [(name, within_data(study, name)) for name in DIRECTIONS]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return
    labelled = [(f"{direction_label(study, n)}\nwith minus without", ls) for n, ls in panels]
    path = save(draw_dynamics_differences(labelled), folder / "direction-within-run.svg")
    caption = (
        "The same weights and the same mini-batches, with dropout minus without: what dropout does "
        "here and now, apart from where it has led the weights. Arms and iterations at which "
        f"nothing drops are not drawn. {_crossings(panels, 'with minus without')} "
        f"{_lines(panels, 'finished runs an arm')}{_bar(panels)} {_measured(study)}"
    )
    yield FigureFile(path, "What dropout does at the same weights", caption)


def _lines(panels: Panels, counted: str) -> str:
    counts = [line.n for _, lines in panels for line in lines]
    said = f"Lines: mean over seeds (n = {counts_text(counts)} {counted})."
    if max(counts) < 2:
        return f"{said} One seed has no band."
    return f"{said} Bands: {LEVEL:.0%} Student-t interval of that mean."


def _crossings(panels: Panels, what: str) -> str:
    return " ".join(
        f"{DIRECTIONS[name]} of {line.arm} {what}: {crossing_text(line.moments)}."
        for name, lines in panels
        for line in lines
    )


def _bar(panels: Panels) -> str:
    return _BAR if any(line.crossings for _, lines in panels for line in lines) else ""


def _measured(study: Study) -> str:
    rows = [row for run in study.finished for row in run.dynamics]
    return (
        f"K = {counts_text([row.batches for row in rows])} mini-batches of "
        f"{counts_text([row.batch_size for row in rows])} examples at each measurement."
    )
