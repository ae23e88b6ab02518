"""``droptime report``: a study, a run, neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from droptime.cli import main
from droptime.records import EvalRow, RunWriter, Summary
from tests.synthetic_dynamics import write_dynamics_study
from tests.synthetic_study import Effect, write_study


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["droptime", "report", *arguments])
    monkeypatch.setenv("COLUMNS", "100")
    try:
        main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_a_study_is_reported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path /= "[bold] é"
    write_study(tmp_path, effects={"standard": Effect(0.05)})
    assert _run(monkeypatch, str(tmp_path)) == 0
    printed = capsys.readouterr().out
    assert "test accuracy higher with standard" in printed
    assert "Dropout: overfitting." in printed
    assert printed.rstrip().endswith(f"The whole report: {tmp_path / 'report.html'}")
    assert (tmp_path / "report.html").is_file()


def test_a_finished_run_is_told_in_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path, seeds=(0,))
    assert _run(monkeypatch, str(tmp_path / "runs" / "early-s0")) == 0
    printed = capsys.readouterr().out
    assert "finished after 120 steps" in printed
    assert "dropout: early(0.1, until=50%)" in printed
    assert "Measured after step 119" in printed


def test_a_run_tells_what_it_measured_of_its_gradients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dynamics_study(tmp_path, seeds=(0,), steps=(0, 100))
    assert _run(monkeypatch, str(tmp_path / "runs" / "standard-s0")) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "32 gradients of 128 images; directions are (1 - cos) / 2;" in printed
    assert "GDE is to the gradient of the whole training set (4,000 examples)" in printed
    assert "GDV effect" in printed


def test_an_unfinished_run_says_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path, seeds=(0,), finished=lambda arm, seed: False)
    assert _run(monkeypatch, str(tmp_path / "runs" / "none-s0")) == 0
    assert "not finished, last seen at step 59" in capsys.readouterr().out


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_with_averaged_weights_is_told_by_its_raw_ones(
    finished: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raw = EvalRow(9, 1.0, 2.1, 0.3, 2.2, 0.25)
    averaged = EvalRow(9, 1.0, 1.1, 0.6, 1.2, 0.5, "ema")
    with RunWriter.create(tmp_path, {"arm": "none", "seed": 0}) as run:
        run.append(raw)
        run.append(averaged)
        if finished:
            run.finish(Summary(10, 0.5, raw, {}))
    assert _run(monkeypatch, str(tmp_path)) == 0
    printed = capsys.readouterr().out
    assert "(raw weights, drop off): training loss 2.1000" in printed
    assert "ema" not in printed


def test_anything_else_is_an_error_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, str(tmp_path)) == 2
    assert "neither a study (study.json) nor a run" in capsys.readouterr().err
