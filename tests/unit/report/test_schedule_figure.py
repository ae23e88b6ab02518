"""The figure of schedules: its table is exact where it must be, its file is reproducible."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from droptime.errors import ClockError, ConfigError
from droptime.report.schedules import TOLERANCE, ScheduleData, draw_schedules, schedule_data
from droptime.report.style import FAMILY_COLOURS, canvas, line_styles, render, save
from droptime.schedules import early, from_function, parse
from droptime.types import Clock

CLOCK = Clock(epochs=300, steps_per_epoch=312)
CURVES = [
    "standard(0.1)",
    "early(0.5, until=50ep)",
    "early(0.5, until=50ep, shape=constant)",
    "early(0.5, until=50ep, shape=cosine)",
    "late(0.4, since=50ep)",
    "late(0.4, since=50ep, shape=linear)",
    "curriculum(0.5, tau=10%)",
    "exponential(0.4, 0.01, until=50ep)",
    "piecewise(0%: 0.0, 20%: 0.0, 50%: 0.3, 100%: 0.0)",
    "join(0ep: early(0.2, until=100%), 50ep: late(0.4, since=1st))",
]


@pytest.mark.parametrize("text", CURVES)
def test_few_points_draw_the_whole_curve(text: str) -> None:
    (line,) = schedule_data({text: parse(text)}, CLOCK).lines
    schedule = parse(text).resolve(CLOCK)
    table = np.array([schedule(step) for step in range(93_600)])
    drawn = np.interp(np.arange(93_600), line.steps, line.rates)
    assert np.abs(drawn - table).max() <= TOLERANCE * table.max()
    assert list(line.rates) == [schedule(step) for step in line.steps]
    assert len(line.steps) < 50
    assert (line.steps[0], line.steps[-1]) == (0, 93_599)


def test_both_sides_of_a_cutoff_are_there_even_where_the_eye_needs_none() -> None:
    (line,) = schedule_data({"flat": early(0.0, until="50ep")}, CLOCK).lines
    assert line.steps == (0, 15_599, 15_600, 93_599)


def test_a_spike_of_one_step_is_not_lost() -> None:
    spike = from_function(lambda step: 0.5 if step == 77 else 0.0, name="spike")
    (line,) = schedule_data({"spike": spike}, Clock(total_steps=1000)).lines
    assert dict(zip(line.steps, line.rates, strict=True))[77] == 0.5
    assert {76, 78} <= set(line.steps)


def test_a_clock_without_an_end_is_refused() -> None:
    with pytest.raises(ClockError, match="give epochs and steps_per_epoch, or total_steps"):
        schedule_data({"early": early(0.1, until="5ep")}, Clock(steps_per_epoch=10))


def test_the_same_schedules_give_the_same_file(tmp_path: Path) -> None:
    data = schedule_data({text: parse(text) for text in CURVES}, CLOCK)
    first = draw_schedules(data, tmp_path / "a.svg", title="Schedules").read_bytes()
    second = draw_schedules(data, tmp_path / "b.svg", title="Schedules").read_bytes()
    assert first == second
    assert ET.fromstring(first).tag.endswith("svg")
    assert b"<dc:date>" not in first
    assert all(colour.encode() in first for colour in list(FAMILY_COLOURS.values())[1:])


def test_a_run_of_one_step_and_a_run_at_rate_zero_are_drawn(tmp_path: Path) -> None:
    for text, clock in [("standard(0.1)", Clock(total_steps=1)), ("standard(0.0)", CLOCK)]:
        data = schedule_data({text: parse(text)}, clock)
        assert draw_schedules(data, tmp_path / "flat.png").stat().st_size > 0


def test_nothing_to_draw_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no schedule to draw"):
        draw_schedules(ScheduleData(CLOCK, ()), tmp_path / "none.svg")


def test_drawing_leaves_the_settings_of_matplotlib_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    with canvas() as figure:
        figure.add_subplot().plot([0, 1], [0, 1])
    save(figure, tmp_path / "line.png")
    assert dict(mpl.rcParams) == before


def test_a_dollar_in_a_label_is_a_dollar() -> None:
    with canvas() as figure:
        figure.add_subplot().set_title(r"costs $\undefined and 5$")
    assert render(figure, "svg").startswith(b"<?xml")


def test_other_formats_are_refused() -> None:
    with canvas() as figure, pytest.raises(ConfigError, match="choose 'svg' or 'png'"):
        render(figure, "pdf")


def test_arms_of_one_family_share_a_colour_and_no_two_look_alike() -> None:
    names = ["none", "standard", "early", "late", "standard-dp", "early-dp", "late-dp", "a", "b"]
    styles = line_styles(names)
    assert styles["early"]["color"] == styles["early-dp"]["color"]
    assert len({(style["color"], style["linestyle"]) for style in styles.values()}) == len(names)
