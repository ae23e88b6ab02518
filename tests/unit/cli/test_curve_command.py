"""``droptime curve``: the values it prints, the figure it draws, the errors it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from droptime.cli import main

PAPER = ["--epochs", "300", "--steps-per-epoch", "312"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["droptime", "curve", *arguments])
    monkeypatch.setenv("COLUMNS", "60")
    try:
        main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip()[:1].isdigit()]


def test_values_around_the_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "early(0.5, until=50ep)", "late(0.4, since=50ep)", *PAPER) == 0
    printed = capsys.readouterr().out
    assert rows(printed) == [
        ["0", "0.000", "0.5", "first", "step"],
        ["1", "0.003", "0.499968"],
        ["15,598", "49.994", "3.20533e-05"],
        ["15,599", "49.997", "0"],
        ["15,600", "50.000", "0", "cutoff"],
        ["93,599", "299.997", "0", "last", "step"],
        ["0", "0.000", "0", "first", "step"],
        ["1", "0.003", "0"],
        ["15,598", "49.994", "0"],
        ["15,599", "49.997", "0"],
        ["15,600", "50.000", "0.4", "cutoff"],
        ["93,599", "299.997", "0.4", "last", "step"],
    ]


def test_steps_alone_will_do_and_a_long_text_is_not_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "piecewise(0%: 0.0, 20%: 0.0, 30%: 0.1, 50%: 0.3, 75%: 0.3, 100%: 0.0)"
    assert run(monkeypatch, text, "--total-steps", "10") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == text
    assert [row[0] for row in rows(printed)] == list("0123456789")


def test_a_run_of_one_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    figure = tmp_path / "one.svg"
    assert (
        run(monkeypatch, "early(0.5, until=1st)", "--total-steps", "1", "--out", str(figure)) == 0
    )
    assert rows(capsys.readouterr().out) == [["0", "0.5", "last", "step"]]
    assert figure.stat().st_size > 0


@pytest.mark.parametrize(("suffix", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_the_figure_is_written(
    suffix: str,
    magic: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    figure = tmp_path / f"curves.{suffix}"
    assert run(monkeypatch, "early(0.5, until=50ep)", *PAPER, "--out", str(figure)) == 0
    assert figure.read_bytes().startswith(magic)
    assert capsys.readouterr().out.splitlines()[-1] == f"drawn: {figure}"


ERRORS = [
    (["early(0.5, until=50)", *PAPER], "  early(0.5, until=50)\n                   ^^"),
    (["early(0.5, until=50ep)"], "Give --epochs and --steps-per-epoch, or --total-steps"),
    (["early(0.5, until=50ep)", "--epochs", "300"], "give steps_per_epoch too"),
    (["early(0.5, until=500ep)", *PAPER], "past the end of the run"),
    (["early(0.5, until=50ep)", *PAPER, "--out", "curves.pdf"], "choose 'svg' or 'png'"),
    (["early(0.5, until=50ep)", *PAPER, "--out", "afile"], "to afile, its name has no ending"),
    (["", *PAPER], "found the end of the text: the text is empty\n"),
    (["  ", *PAPER], "found the end of the text: the text is empty\n"),
    (PAPER, "Which curves?"),
]


@pytest.mark.parametrize(("arguments", "problem"), ERRORS)
def test_errors_are_readable_and_end_with_2(
    arguments: list[str],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *arguments) == 2
    printed, shown = capsys.readouterr()
    assert printed == ""
    assert shown.startswith("error: ")
    assert problem in shown
    assert "Traceback" not in shown
