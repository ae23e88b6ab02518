"""Figures of gradients and the paper's observations, on records made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from droptime.records import (
    JSON,
    DynamicsRow,
    Estimate,
    EvalRow,
    RunWriter,
    Study,
    StudyManifest,
    Summary,
    read_study,
    run_path,
    write_manifest,
)
from droptime.regime import observe
from droptime.report import build
from droptime.report.dynamics import Point, crossing, crossing_sentence, dynamics_data, effects_data

STEPS = (0, 1, 2, 4, 8, 10, 50, 100)
ARMS: dict[str, dict[str, str]] = {"none": {}, "standard-dropout": {"dropout": "standard(0.1)"}}


def _study(folder: Path, *, seeds: int = 3, effect: float = 0.05) -> Study:
    """GDV and GDE of dropout: lower by ``effect`` until step 10, higher afterwards."""
    write_manifest(folder, StudyManifest("made", ARMS, tuple(range(seeds)), base={"data": "x"}))
    rng = np.random.default_rng(0)
    for seed in range(seeds):
        luck = rng.normal(0, 0.02)
        for arm, curves in ARMS.items():
            path, drops = run_path(folder, arm, seed), bool(curves)
            config: dict[str, JSON] = {"data": "x", **curves, "arm": arm, "seed": seed}
            with RunWriter.create(path, config) as run:
                for step in STEPS:
                    shift = drops * (-effect if step <= 10 else effect)
                    values = {
                        "gradient_norm": 2.0 - 0.5 * drops,
                        "distance": step * (1.0 + 0.2 * drops),
                        "variance": 0.4 + shift,
                        "error": 0.3 + shift,
                        "variance_effect": drops * 0.01,
                        "error_effect": drops * 0.02,
                    }
                    noisy = {
                        name: Estimate(value + luck + rng.normal(0, 0.001), 0.01)
                        for name, value in values.items()
                    }
                    run.append(DynamicsRow(step, step / 10, 8, 64.0, True, noisy))
                last = EvalRow(99, 10.0, 1.0, 0.5, 1.0, 0.5)
                run.append(last)
                run.finish(Summary(100, 1.0, last, {}))
    return read_study(folder)


def test_values_are_means_over_seeds_at_every_step(tmp_path: Path) -> None:
    study = _study(tmp_path)
    points = dynamics_data(study, "variance")
    assert [point.step for point in points] == [*STEPS, *STEPS]
    first = [run.dynamics[0].values["variance"].value for run in study.of_arm("none")]
    assert points[0].mean == pytest.approx(np.mean(first))
    assert points[0].low < points[0].mean < points[0].high
    assert points[0].n == 3


def test_effects_are_paired(tmp_path: Path) -> None:
    points = effects_data(_study(tmp_path), "variance")
    assert [point.arm for point in points] == ["standard-dropout"] * len(STEPS)
    for point in points:  # what the seeds share is gone: the band is far narrower than their spread
        assert point.mean == pytest.approx(-0.05 if point.step <= 10 else 0.05, abs=0.005)
        assert point.high - point.low < 0.02


def test_a_crossing_is_decided_on_both_sides(tmp_path: Path) -> None:
    points = effects_data(_study(tmp_path), "error")
    assert crossing(points) == (10, 50)
    assert crossing_sentence(points) == "standard-dropout: between steps 10 and 50"
    undecided = [Point("a", "error", step, 0.0, -1.0, 1.0, 3) for step in STEPS]
    assert crossing(undecided) is None
    assert crossing_sentence(undecided) == "a: no crossing seen"


def test_the_papers_observations(tmp_path: Path) -> None:
    found = observe(_study(tmp_path / "as the paper"))
    assert [each.judgement for each in found] == ["agrees"] * 6
    assert "n = 3" in found[0].sentence
    found = observe(_study(tmp_path / "the other way", effect=-0.05))
    judged = [each.judgement for each in found]
    assert judged == ["agrees", "agrees", *["disagrees"] * 4]
    found = observe(_study(tmp_path / "one seed", seeds=1))
    assert {each.judgement for each in found} == {"cannot tell"}
    assert "fewer than two pairs" in found[0].sentence


def test_the_report_shows_them_only_where_they_were_measured(tmp_path: Path) -> None:
    report = build(_study(tmp_path).path)
    names = {file.name for file in report.files}
    assert {
        "gradient-size.svg",
        "gradient-direction.svg",
        "direction-between-arms.svg",
        "direction-within-run.svg",
    } <= names
    page = (tmp_path / "report.md").read_text()
    assert "Early, GDV is lower with dropout: agrees" in page
    assert "(1 - cos) / 2" in page
    assert "between steps 10 and 50" in page
    assert "8 gradients of 64 images" in page
    assert "<h2>Gradients</h2>" in (tmp_path / "report.html").read_text()
