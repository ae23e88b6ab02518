"""Figures of gradients, what their captions say, and the observations' table."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from droptime.errors import RecordError
from droptime.records import DynamicsRow, Estimate, Study, read_study
from droptime.regime import crossing_text, observe
from droptime.report import build, render_observations, render_table
from droptime.report.dynamics import (
    DynamicsLine,
    between_data,
    direction_label,
    dynamics_data,
    within_data,
)
from droptime.report.dynamics_drawing import draw_dynamics, draw_dynamics_differences
from droptime.report.dynamics_figures import draw_dynamics_figures
from droptime.report.measurements import dynamics_csv
from droptime.stats import mean_interval
from tests.synthetic_dynamics import ARMS, STEPS, TOTAL, write_dynamics_study
from tests.synthetic_study import BOTH_ARMS, write_study

EARLY = {**ARMS, "early": {"dropout": "early(0.1, until=20%)"}}
FIGURES = [
    "gradient-size.svg",
    "gradient-direction.svg",
    "direction-between-arms.svg",
    "direction-within-run.svg",
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return write_dynamics_study(tmp_path_factory.mktemp("study"), arms=EARLY)


def test_a_line_is_the_mean_over_seeds_with_its_band(study: Study) -> None:
    lines = dynamics_data(study, "variance")
    assert [line.arm for line in lines] == ["none", "standard", "early"]
    first, moment = [run.dynamics[0] for run in study.of_arm("none")], lines[0].moments[0]
    found = mean_interval([row.values["variance"].value for row in first])
    assert (moment.mean, moment.low, moment.high) == pytest.approx(
        (found.mean, found.low, found.high)
    )
    assert tuple(m.step for m in lines[0].moments) == STEPS
    assert lines[0].n == 5


def test_differences_are_paired_and_the_baseline_has_none(study: Study) -> None:
    lines = between_data(study, "error")
    assert [line.arm for line in lines] == ["standard", "early"]
    pairs = zip(study.of_arm("standard"), study.of_arm("none"), strict=True)
    expected = [
        ours.dynamics[3].values["error"].value - theirs.dynamics[3].values["error"].value
        for ours, theirs in pairs
    ]
    assert list(lines[0].moments[3].values.values()) == expected


def test_what_dropout_does_at_the_same_weights_ends_where_it_ends(study: Study) -> None:
    lines = {line.arm: line for line in within_data(study, "variance")}
    assert lines.keys() == {"standard", "early"}
    assert lines["standard"].moments[-1].step == TOTAL
    assert lines["early"].moments[-1].step < TOTAL / 5


def _panels(figure: Any) -> list[Any]:
    return list(figure.axes)


def test_iterations_are_on_a_log_axis_only_where_they_begin_densely(
    study: Study, tmp_path: Path
) -> None:
    even = write_dynamics_study(tmp_path, steps=range(0, TOTAL + 1, 400))
    for records, scale in ((study, "symlog"), (even, "linear")):
        (axes,) = _panels(draw_dynamics([("GDV", dynamics_data(records, "variance"))]))
        assert axes.get_xscale() == scale
        assert ("log" in axes.get_xlabel()) == (scale == "symlog")


def test_the_drawing_marks_zero_and_the_crossing(study: Study) -> None:
    lines = between_data(study, "variance")[:1]
    (axes,) = _panels(draw_dynamics_differences([("GDV", lines)]))
    (crossing,) = lines[0].crossings
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()]
    assert ([crossing.after, crossing.before], [0, 0]) in drawn
    assert ([crossing.at], [0]) in drawn


def test_a_row_for_each_kind_of_drop_and_of_differences_for_each_arm(tmp_path: Path) -> None:
    records = write_dynamics_study(tmp_path, arms=BOTH_ARMS, seeds=(0, 1), steps=(0, 10, 20))
    panels = [(name, dynamics_data(records, name)) for name in ("variance", "error")]
    shown = [
        [line.get_label() for line in axes.get_lines()]
        for axes in _panels(draw_dynamics(panels))
        if axes.get_ylabel() == "error"
    ]
    assert shown == [
        ["none", "standard-dropout", "early-dropout", "late-dropout"],
        ["none", "standard-drop-path", "early-drop-path", "late-drop-path"],
    ]
    panels = [("GDV", between_data(records, "variance"))]
    titles = [axes.get_title("left") for axes in _panels(draw_dynamics_differences(panels))]
    assert titles == [arm for arm in BOTH_ARMS if arm != "none"]


@pytest.mark.parametrize("moments", [1, 2])
def test_hardly_any_moment_is_drawn_too(study: Study, moments: int) -> None:
    line = DynamicsLine(
        "none", "", "variance", dynamics_data(study, "variance")[0].moments[:moments]
    )
    (axes,) = _panels(draw_dynamics([("GDV", [line])]))
    assert axes.get_xscale() == "linear"


def test_captions_say_n_band_batches_and_where_zero_is_crossed(
    study: Study, tmp_path: Path
) -> None:
    figures = draw_dynamics_figures(study, tmp_path)
    assert [figure.path.name for figure in figures] == FIGURES
    for figure in figures:
        assert "K = 32 mini-batches of 128 examples" in figure.caption
        assert "n = 5" in figure.caption
        assert "95% Student-t interval" in figure.caption
    lines = between_data(study, "error")
    said = f"GDE of standard minus none: {crossing_text(lines[0].moments)}."
    assert said in figures[2].caption
    assert "crosses from below zero to above at about iteration" in said


def test_a_caption_says_which_gradient_gde_is_measured_to(study: Study, tmp_path: Path) -> None:
    def sampled(row: DynamicsRow, arm: str, seed: int) -> DynamicsRow:
        found = Estimate(0.8 if row.step else 0.9, 0.02)
        return replace(row, reference=640, values={**row.values, "alignment": found})

    def unsaid(row: DynamicsRow, arm: str, seed: int) -> DynamicsRow:
        values = {name: found for name, found in row.values.items() if name != "alignment"}
        return replace(row, reference=None, values=values)

    said = draw_dynamics_figures(study, tmp_path)[1].caption
    assert "of the whole training set (4,000 examples)." in said
    sample = "a sample of 640 examples (estimated cosine to the whole set's: 0.80 to 0.90"
    for change, words in ((sampled, sample), (unsaid, "of the whole training set.")):
        records = write_dynamics_study(tmp_path / change.__name__, seeds=(0, 1), change=change)
        assert words in draw_dynamics_figures(records, tmp_path)[1].caption


def test_the_csv_has_every_value_of_every_measurement(study: Study, tmp_path: Path) -> None:
    lines = list(csv.DictReader(StringIO(dynamics_csv(study))))
    assert len(lines) == 3 * 5 * len(STEPS)
    run, line = study.of_arm("standard")[0], next(x for x in lines if x["arm"] == "standard")
    for name, found in run.dynamics[0].values.items():
        assert (float(line[name]), float(line[f"{name}_se"])) == (found.value, found.error)
    assert (line["batches"], line["halved"], line["reference"]) == ("32", "True", "4000")
    assert {x["group"] for x in lines} == {""}
    build(study.path)
    assert (study.path / "dynamics.csv").read_text(encoding="utf-8") == dynamics_csv(study)
    write_study(tmp_path, seeds=(0, 1))
    assert dynamics_csv(read_study(tmp_path)) == ""


def test_the_csv_has_a_line_for_each_group(tmp_path: Path) -> None:
    def grouped(row: DynamicsRow, arm: str, seed: int) -> DynamicsRow:
        return replace(row, groups={"head": {"variance": Estimate(0.25, 0.5)}})

    study = write_dynamics_study(tmp_path, seeds=(0, 1), change=grouped)
    lines = list(csv.DictReader(StringIO(dynamics_csv(study))))
    assert [line["group"] for line in lines[:4]] == ["", "head", "", "head"]
    assert (lines[1]["variance"], lines[1]["variance_se"], lines[1]["error"]) == ("0.25", "0.5", "")
    assert lines[0]["step"] == lines[1]["step"]


def test_the_scale_of_directions_is_on_every_axis_and_cannot_be_mixed(
    study: Study, tmp_path: Path
) -> None:
    def whole(row: DynamicsRow, arm: str, seed: int) -> DynamicsRow:
        return replace(row, halved=False)

    def mixed(row: DynamicsRow, arm: str, seed: int) -> DynamicsRow:
        return replace(row, halved=arm == "none")

    assert direction_label(study, "variance") == "GDV, (1 - cos) / 2"
    found = write_dynamics_study(tmp_path / "whole", change=whole)
    assert direction_label(found, "error") == "GDE, 1 - cos"
    write_dynamics_study(tmp_path / "mixed", seeds=(0, 1), change=mixed)
    with pytest.raises(RecordError, match="on one scale"):
        build(tmp_path / "mixed")


def test_one_seed_has_lines_and_no_band(tmp_path: Path) -> None:
    found = write_dynamics_study(tmp_path, seeds=(0,))
    caption = draw_dynamics_figures(found, tmp_path)[2].caption
    assert "One seed has no band." in caption
    assert "no crossing seen: one seed has no interval" in caption


def test_the_report_shows_gradients_only_where_they_were_measured(
    study: Study, tmp_path: Path
) -> None:
    report = build(study.path)
    assert [file.name for file in report.files][-4:] == FIGURES
    page, text = (report.files[i].read_text(encoding="utf-8") for i in (0, 1))
    for said in ("What dropout does to gradients", "GDV is lower with dropout early, not later"):
        assert said in page
        assert said in text
    assert "| **agrees** |" in text
    assert "\n\n\n\n" not in text
    assert [each.judgement for each in report.observations] == ["agrees"] * 4
    write_study(tmp_path, seeds=(0, 1))
    assert build(tmp_path).observations == ()
    assert "gradients</h2>" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_building_again_changes_no_byte(tmp_path: Path) -> None:
    write_dynamics_study(tmp_path, seeds=(0, 1), steps=(0, 1, 100, 200))
    before = [file.read_bytes() for file in build(tmp_path).files]
    assert [file.read_bytes() for file in build(tmp_path).files] == before


def _terminal(shown: Any, *, width: int) -> str:
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123
        console = Console(width=width, record=True, file=nowhere)
        console.print(shown)
        return console.export_text()


@pytest.mark.parametrize("width", [50, 80, 120])
def test_the_terminal_table_cuts_no_number(study: Study, width: int) -> None:
    text = _terminal(render_observations(study), width=width)
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert max(map(len, text.splitlines())) <= width
    assert text.replace("disagrees", "").split("\n\nGDV of")[0].count("agrees") == 4
    for observation in observe(study):
        for evidence in observation.evidence:
            assert all(word in text for word in evidence.effect.split())


def test_the_studys_table_ends_with_it(study: Study, tmp_path: Path) -> None:
    assert "What dropout does to gradients" in _terminal(render_table(study), width=80)
    write_study(tmp_path, seeds=(0, 1))
    assert "gradients" not in _terminal(render_table(read_study(tmp_path)), width=80)
