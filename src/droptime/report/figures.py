"""Which figures a study has, under which names, and what their captions say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from droptime.errors import ClockError, CurveError, RecordError
from droptime.records import Study
from droptime.report.curves import draw_loss_curves, loss_curves_data
from droptime.report.differences import differences_data, draw_differences
from droptime.report.figure_file import FigureFile, counts_text
from droptime.report.schedules import draw_schedules, schedule_data
from droptime.report.style import save
from droptime.report.table import StudyTable
from droptime.schedules import parse
from droptime.stats import LEVEL
from droptime.types import Clock, Curve

_KINDS = {"dropout": "Dropout", "drop_path": "Stochastic depth"}


def draw_figures(study: Study, table: StudyTable, folder: Path) -> tuple[FigureFile, ...]:
    """Draw every figure that the records so far allow.

    Raises:
        MissingExtraError: matplotlib is not installed.
        RecordError: the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"cannot make {folder}: {os.strerror(error.errno or 0)}.") from error
    return (
        *_schedules(study, folder),
        *_loss_curves(study, folder),
        *_differences(table, folder),
    )


def _schedules(study: Study, folder: Path) -> Iterator[FigureFile]:
    """One figure for each kind of drop; the run's length comes from a finished run."""
    clock = run_clock(study)
    if clock is None:
        return
    for kind, title in _KINDS.items():
        curves = _curves(study, kind, clock)
        if not curves:
            continue
        path = draw_schedules(schedule_data(curves, clock), folder / f"schedules-{kind}.svg")
        depth = " It is the last block's; earlier blocks have less." if kind == "drop_path" else ""
        caption = (
            f"Drop probability of {title.lower()} over the run, computed from each arm's curve."
            f"{depth} Arms that do not drive it are not drawn.{_absent(study, kind, curves)}"
        )
        yield FigureFile(path, f"{title}: schedules", caption)


def _curves(study: Study, kind: str, clock: Clock) -> dict[str, Curve]:
    """The curves to draw: of arms with a finished run, and only those that this run can have."""
    curves = {}
    for arm, texts in study.manifest.arms.items():
        if kind not in texts or not study.of_arm(arm):
            continue
        with suppress(ClockError, CurveError):
            curve = parse(texts[kind])
            curve.resolve(clock)
            curves[arm] = curve
    return curves


def _absent(study: Study, kind: str, drawn: Mapping[str, Curve]) -> str:
    driven = [arm for arm, texts in study.manifest.arms.items() if kind in texts]
    missing = [arm for arm in driven if arm not in drawn]
    if not missing:
        return ""
    return f" Without a finished run that can show it: {', '.join(missing)}."


def _loss_curves(study: Study, folder: Path) -> Iterator[FigureFile]:
    points = loss_curves_data(study)
    if len({point.step for point in points}) < 2:  # no line: the end is in the differences
        return
    path = save(draw_loss_curves(points), folder / "training-loss.svg")
    caption = (
        "Cross-entropy on the whole training set after each evaluation, drop off, images neither "
        f"augmented nor mixed. Lines: mean over seeds ({counts_text([p.n for p in points])} "
        f"finished runs an arm). Bands: {LEVEL:.0%} Student-t interval of that mean. Runs are "
        "paired by seed, so overlapping bands do not mean that arms are equal: see the differences."
    )
    yield FigureFile(path, "Training loss", caption)


def _differences(table: StudyTable, folder: Path) -> Iterator[FigureFile]:
    differences = differences_data(table)
    if not differences:
        return
    path = save(draw_differences(differences), folder / "differences.svg")
    caption = (
        f"Each arm minus {table.baseline} at the end of training, paired by seed "
        f"(n = {counts_text([d.n for d in differences])} pairs). Dot: mean difference. Bar: its "
        f"{LEVEL:.0%} Student-t interval. Filled dot: the interval leaves out zero. Small ticks: "
        "the single seeds. Lower loss and higher accuracy are better."
    )
    yield FigureFile(path, f"Differences to {table.baseline}", caption)


def run_clock(study: Study) -> Clock | None:
    """Return the clock of the study's runs, None until one has finished.

    Epochs are known where the runs' config says how many there are and the steps divide.
    """
    for run in study.finished:
        if run.summary is None or run.summary.steps < 1:
            continue
        steps, epochs = run.summary.steps, run.config.get("epochs")
        if type(epochs) is int and epochs > 0 and steps % epochs == 0:
            return Clock(epochs=epochs, steps_per_epoch=steps // epochs)
        return Clock(total_steps=steps)
    return None
