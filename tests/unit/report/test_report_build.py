"""The report's files: whole, self-contained, repeatable, honest about what is missing."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from droptime.errors import MissingExtraError, RecordError
from droptime.records import read_study, write_manifest
from droptime.report import build, render_table, study_table
from droptime.report.cells import lines
from droptime.report.finding import finding
from tests.synthetic_study import BOTH_ARMS, PAPER_ARMS, Effect, write_study

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags close in order; collects ids, links and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.words = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.handle_startendtag(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids[value or ""] += 1
            if name in ("href", "src", "xlink:href", "action", "data"):
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def _page(path: Path) -> Page:
    return Page((path / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study")
    write_study(path, arms=BOTH_ARMS, effects={"standard-dropout": Effect(-0.05, 0.1)})
    build(path)
    return path


def test_the_page_is_whole_and_fetches_nothing(built: Path) -> None:
    page, html = _page(built), (built / "report.html").read_text(encoding="utf-8")
    assert max(page.ids.values()) == 1
    outside = [link for link in page.links if not link.startswith("#")]
    assert outside == ["results.csv", "report.md"]
    inner = {link[1:] for link in page.links if link.startswith("#")}
    inner |= set(re.findall(r"url\(#([^)]+)\)", html))
    assert inner <= page.ids.keys()
    assert "@import" not in html
    assert "<script" not in html
    assert re.search(r"url\((?!#)", html) is None


def test_the_page_says_what_it_must(built: Path) -> None:
    words = " ".join(_page(built).words.split())
    for said in (
        finding(study_table(read_study(built))),
        "Dropout: underfitting.",
        "The paper's advice",
        "are not adjusted for the number of comparisons",
        "drop_path: early(0.1, until=50%)",
        "0, 1, 2, 3, 4; runs with the same seed are paired",
        "made up",
        "2.15.0",
        "7 min 18 s",
        "droptime report FOLDER",
    ):
        assert said in words


def test_building_again_changes_no_byte(built: Path) -> None:
    report = build(built)
    before = [file.read_bytes() for file in report.files]
    assert [file.read_bytes() for file in build(built).files] == before
    assert {f.relative_to(built).as_posix() for f in report.files} == {
        "report.html",
        "report.md",
        "results.csv",
        "figures/schedules-dropout.svg",
        "figures/schedules-drop_path.svg",
        "figures/training-loss.svg",
        "figures/differences.svg",
    }


def test_the_csv_holds_every_run_at_full_precision(built: Path) -> None:
    with (built / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    runs = read_study(built).finished
    assert len(rows) == len(runs) == 35
    for row, run in zip(rows, runs, strict=True):
        assert run.summary is not None
        assert (row["arm"], int(row["seed"])) == (run.arm, run.seed)
        assert float(row["train_loss"]) == run.summary.final.train_loss
        assert float(row["test_accuracy"]) == run.summary.final.test_accuracy
        assert row["drop_path"] == run.config.get("drop_path", "")


def test_the_markdown_table_and_page_agree(built: Path) -> None:
    text = (built / "report.md").read_text(encoding="utf-8")
    rows = [
        [re.sub(r"\*\*|\[.*|,? n = \d+", "", c).strip() for c in line.strip("| ").split(" | ")]
        for line in text.splitlines()
        if line.startswith(("| none |", "| standard-dropout |"))
    ]
    assert [len(row) for row in rows] == [6, 6]
    words = _page(built).words
    for cell in (cell for row in rows for cell in row):
        assert cell in words
    assert "![Training loss](figures/training-loss.svg)" in text
    assert "- Arm none: `nothing driven`\n" in text
    assert "\n\n\n\n" not in text


def test_the_command_is_given_if_known(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=(0, 1))
    command = "droptime study digits --seeds 2 --settings 'lr=<1>'"
    write_manifest(tmp_path, replace(read_study(tmp_path).manifest, command=command))
    build(tmp_path)
    assert command in _page(tmp_path).words
    assert f"\n    {command}\n" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_what_intervals_leave_out_and_an_earlier_look_are_said(tmp_path: Path) -> None:
    write_study(tmp_path)
    for judged_at, said in (((), ""), ((3,), "n = 3 seeds"), ((2, 3), "n = 2 and 3 seeds")):
        write_manifest(tmp_path, replace(read_study(tmp_path).manifest, judged_at=judged_at))
        page = build(tmp_path).page.read_text()
        for text in (page, (tmp_path / "report.md").read_text(), _terminal(tmp_path, width=400)):
            words = " ".join(text.split())
            assert "the split into training and test images is the same in every run" in words
            assert ("Judged before" in words) == bool(judged_at)
            assert said in words


def test_what_a_study_says_of_itself_is_text_not_markup(tmp_path: Path) -> None:
    write_study(tmp_path, seeds=(0, 1))
    name = "<img src=http://x onerror=alert(1)> & co"
    write_manifest(tmp_path, replace(read_study(tmp_path).manifest, name=name))
    build(tmp_path)
    assert name in _page(tmp_path).words
    assert not any("http://x" in link for link in _page(tmp_path).links)


def test_an_unfinished_study_says_how_many_runs_are_missing(tmp_path: Path) -> None:
    write_study(tmp_path, finished=lambda arm, seed: seed < 3, begun=lambda arm, seed: seed < 4)
    build(tmp_path)
    words = " ".join(_page(tmp_path).words.split())
    assert "Unfinished: 8 of 20 runs are missing" in words
    assert "8 of 20 runs have not finished: none-s3, standard-s3" in words
    assert "cannot tell yet: needs 4 unfinished run(s)" in words
    assert "Everything below is provisional." in words
    assert "8 of 20 runs have not finished" in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_a_study_in_which_nothing_has_begun_still_has_a_page(
    tmp_path: Path, seeds: tuple[int, ...]
) -> None:
    write_study(tmp_path, seeds=seeds, begun=lambda arm, seed: False)
    report = build(tmp_path)
    assert "No run has finished" in _page(tmp_path).words
    assert len(report.files) == 3
    assert _terminal(tmp_path, width=80)


def test_a_disk_that_refuses_leaves_the_old_report(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (built / "report.html").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RecordError, match="No space left"):
        build(built)
    assert (built / "report.html").read_bytes() == before
    assert not list(built.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("package", "extra"), [("jinja2", "report"), ("matplotlib", "report"), ("scipy", "report")]
)
def test_a_missing_library_is_answered_with_the_command(
    built: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'droptime\[{extra}\]'"):
        build(built)


def _terminal(path: Path, *, width: int) -> str:
    console = Console(width=width, record=True, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
    with console.file:
        console.print(render_table(read_study(path)))
    return console.export_text()


def test_a_long_name_leaves_the_numbers_whole(tmp_path: Path) -> None:
    long = "an-arm-whose-name-says-how-it-came-to-be-so-long"
    write_study(tmp_path, arms={"none": {}, long: {"dropout": "standard(0.1)"}})
    text = _terminal(tmp_path, width=60)
    row = lines(study_table(read_study(tmp_path)))[1]
    numbers = [word for cell in row[2:] for word in f"{cell.main} {cell.detail}".split()]
    assert [word for word in numbers if word in text] == numbers
    assert long[:18] in text


@pytest.mark.parametrize("width", [50, 80, 120])
def test_the_terminal_table_cuts_no_number(built: Path, width: int) -> None:
    text = _terminal(built, width=width)
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert max(map(len, text.splitlines())) <= width
    report = build(built)
    for verdict in report.verdicts:
        assert verdict.sentence.split() == [w for w in verdict.sentence.split() if w in text]


def test_the_terminal_table_has_one_n_where_all_are_one(built: Path, tmp_path: Path) -> None:
    assert _terminal(built, width=100).count("n = 5 pairs") == 2
    write_study(tmp_path, arms=PAPER_ARMS, finished=lambda arm, seed: (arm, seed) != ("late", 0))
    text = _terminal(tmp_path, width=100).split("Mean ±")[0]
    assert text.count("n = 5") == 4
    assert text.count("n = 4") == 2
    assert "4 of 5" in text


def test_the_report_opens_without_torch(built: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from droptime.report import build, render_table\n"
        "from droptime.records import read_study\n"
        "build(sys.argv[1]); render_table(read_study(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(built)], check=True)
