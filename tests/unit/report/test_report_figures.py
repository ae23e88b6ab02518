"""The figures' data, and that the drawings show it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from droptime.records import EvalRow, read_study
from droptime.report import build
from droptime.report.curves import CurvePoint, draw_loss_curves, loss_curves_data
from droptime.report.differences import ACCURACY, LOSS, differences_data, draw_differences
from droptime.report.figure_file import FigureFile
from droptime.report.figures import draw_figures, run_clock
from droptime.report.table import study_table
from droptime.stats import mean_interval
from tests.synthetic_study import BOTH_ARMS, EPOCHS, PAPER_ARMS, STEPS_PER_EPOCH, write_study


def test_curve_points_are_means_over_seeds(tmp_path: Path) -> None:
    write_study(tmp_path)
    study = read_study(tmp_path)
    points = loss_curves_data(study)
    assert len(points) == len(PAPER_ARMS) * EPOCHS
    third = next(p for p in points if p.arm == "late" and p.epoch == 3)
    losses = [run.evals[2].train_loss for run in study.of_arm("late")]
    expected = mean_interval(losses)
    assert (third.mean, third.low, third.high, third.n) == (
        expected.mean,
        expected.low,
        expected.high,
        5,
    )
    assert (third.family, third.step) == ("dropout", 3 * STEPS_PER_EPOCH - 1)


def test_unfinished_runs_are_left_out_of_the_curves(tmp_path: Path) -> None:
    write_study(tmp_path, finished=lambda arm, seed: seed != 0)
    assert {p.n for p in loss_curves_data(read_study(tmp_path))} == {4}


def test_one_seed_is_a_line_without_a_band(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=(0,))
    assert all(p.low == p.mean == p.high for p in loss_curves_data(read_study(tmp_path)))


def test_one_evaluation_is_no_curve(tmp_path: Path) -> None:
    study = read_study(write_study(tmp_path))
    ends = [replace(run, evals=run.evals[-1:]) for run in study.runs]
    ended = replace(study, runs=tuple(ends))
    names = [figure.path.stem for figure in draw_figures(ended, study_table(ended), tmp_path)]
    assert names == ["schedules-dropout", "differences"]


@pytest.mark.parametrize(("evaluations", "marker"), [(1, "o"), (2, "o"), (100, "")])
def test_few_evaluations_are_marked(evaluations: int, marker: str) -> None:
    points = [
        CurvePoint("none", "", step, float(step), 1.0, 0.9, 1.1, 3) for step in range(evaluations)
    ]
    (line,) = draw_loss_curves(points).axes[0].get_lines()
    assert line.get_marker() == marker


def test_a_panel_for_each_kind_of_drop(tmp_path: Path) -> None:
    write_study(tmp_path, arms=BOTH_ARMS)
    figure = draw_loss_curves(loss_curves_data(read_study(tmp_path)))
    shown = [[line.get_label() for line in axes.get_lines()] for axes in figure.axes]
    assert shown == [
        ["none", "standard-dropout", "early-dropout", "late-dropout"],
        ["none", "standard-drop-path", "early-drop-path", "late-drop-path"],
    ]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == list(BOTH_ARMS), "each arm once, above the panels"


@pytest.mark.parametrize(("last", "scale"), [(0.5, "linear"), (0.01, "log")])
def test_a_loss_that_falls_far_is_drawn_on_a_log_axis(last: float, scale: str) -> None:
    points = [CurvePoint("none", "", i, i, m, m, m, 1) for i, m in enumerate((2.0, last))]
    assert draw_loss_curves(points).axes[0].get_yscale() == scale


def test_differences_are_the_tables(tmp_path: Path) -> None:
    write_study(tmp_path)
    table = study_table(read_study(tmp_path))
    data = differences_data(table)
    assert [(d.measure, d.arm) for d in data] == [
        (measure, arm) for measure in (LOSS, ACCURACY) for arm in ("standard", "early", "late")
    ]
    cell = table.rows[1].accuracy_difference
    assert cell is not None
    assert cell.estimate is not None
    assert data[3].mean == pytest.approx(100 * cell.estimate.mean)
    assert (data[3].low, data[3].high) == pytest.approx(
        (100 * cell.estimate.low, 100 * cell.estimate.high)
    )


def test_filled_dots_are_the_decided_ones(tmp_path: Path) -> None:
    def final(row: EvalRow, arm: str, seed: int) -> EvalRow:
        gap = {"early": 0.1 + 0.001 * seed, "late": 0.1 * (-1) ** seed}.get(arm, 0.0)
        return replace(row, test_accuracy=0.5 + gap, train_loss=0.5 + gap)

    arms = {arm: PAPER_ARMS[arm] for arm in ("none", "early", "late")}
    write_study(tmp_path, arms=arms, final=final)
    data = differences_data(study_table(read_study(tmp_path)))
    assert [d.decided for d in data] == [True, False] * 2
    for axes in draw_differences(data).axes:
        dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
        assert [dot.get_markerfacecolor() != "white" for dot in dots] == [True, False]


def test_every_figure_is_written_with_a_caption_that_says_n_and_band(tmp_path: Path) -> None:
    write_study(tmp_path, arms=BOTH_ARMS)
    study = read_study(tmp_path)
    figures = draw_figures(study, study_table(study), tmp_path / "figures")
    assert [f.path.name for f in figures] == [
        "schedules-dropout.svg",
        "schedules-drop_path.svg",
        "training-loss.svg",
        "differences.svg",
    ]
    assert all(f.path.read_bytes().startswith(b"<?xml") for f in figures)
    assert "5 finished runs an arm" in figures[2].caption
    assert "95% Student-t interval" in figures[2].caption
    assert "n = 5 pairs" in figures[3].caption


def test_what_cannot_be_drawn_yet_is_not(tmp_path: Path) -> None:
    write_study(tmp_path, finished=lambda arm, seed: False)
    study = read_study(tmp_path)
    assert run_clock(study) is None
    assert draw_figures(study, study_table(study), tmp_path / "figures") == ()


@pytest.mark.parametrize("curve", ["early(0.1, until=50ep)", "of_tomorrow(0.1)"])
@pytest.mark.parametrize("ended", [False, True])
def test_an_arm_that_no_run_can_follow_does_not_take_the_report_with_it(
    tmp_path: Path, curve: str, ended: bool
) -> None:
    arms = {**PAPER_ARMS, "odd": {"dropout": curve}}
    write_study(tmp_path, arms=arms, finished=lambda arm, seed: ended or arm != "odd")
    assert build(tmp_path).page.is_file()
    drawn = (tmp_path / "figures" / "schedules-dropout.svg").read_text(encoding="utf-8")
    assert "<!-- early -->" in drawn
    assert "<!-- odd -->" not in drawn
    said = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Without a finished run that can show it: odd." in said


def test_an_arm_without_a_finished_run_is_not_drawn(tmp_path: Path) -> None:
    write_study(tmp_path, finished=lambda arm, seed: arm != "early")
    build(tmp_path)
    drawn = (tmp_path / "figures" / "schedules-dropout.svg").read_text(encoding="utf-8")
    assert "<!-- late -->" in drawn
    assert "<!-- early -->" not in drawn


def test_a_moment_that_is_not_finite_is_left_out_of_the_curve(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=(0, 1))
    rows = tmp_path / "runs" / "none-s1" / "rows.jsonl"
    text = rows.read_text().splitlines(keepends=True)
    place = next(i for i, line in enumerate(text) if '"epoch": 4.0, "train_loss"' in line)
    start = text[place].index('"train_loss": ') + len('"train_loss": ')
    end = text[place].index(",", start)
    text[place] = text[place][:start] + '"nan"' + text[place][end:]
    rows.write_text("".join(text))
    points = [p for p in loss_curves_data(read_study(tmp_path)) if p.arm == "none"]
    assert [p.epoch for p in points] == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert all(math.isfinite(p.mean) for p in points)


def test_inlined_ids_are_prefixed_and_still_meet(tmp_path: Path) -> None:
    path = tmp_path / "one.svg"
    path.write_text('<?xml?><svg><g id="a" clip-path="url(#b)"/><use xlink:href="#a"/></svg>')
    assert FigureFile(path, "", "").inline == (
        '<svg><g id="one-a" clip-path="url(#one-b)"/><use xlink:href="#one-a"/></svg>'
    )
