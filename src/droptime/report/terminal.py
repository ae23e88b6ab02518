"""The report in a terminal: table, finding, verdict, observations; it fits 80 columns."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from droptime.errors import MissingExtraError
from droptime.records import Study
from droptime.regime import judge
from droptime.report.cells import Text, lines
from droptime.report.finding import NOT_ADJUSTED, SEEDS_ONLY, finding, judged_before
from droptime.report.observations import render_observations
from droptime.report.table import StudyTable, study_table
from droptime.stats import LEVEL

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text as RichText

_WIDEST = 18  # letters of an arm's name in a line: room for numbers at 60 columns
_NOTE = (
    f"Mean ± half of its {LEVEL:.0%} interval over seeds; training loss in nats, drop off, neither "
    "augmented nor mixed. Differences are paired by seed; bold: the interval leaves out zero. "
    f"{SEEDS_ONLY} {NOT_ADJUSTED}"
)


def render_table(study: Study) -> Group:
    """Return the study's table and what it says, ready for a rich console to print.

    Raises:
        MissingExtraError: rich or SciPy is not installed.
    """
    try:
        from rich.console import Group
        from rich.padding import Padding
        from rich.text import Text as RichText
    except ImportError as error:
        raise MissingExtraError("rich", "cli", "A table in the terminal") from error
    data = study_table(study)
    note = f"{_NOTE} {judged_before(study.manifest)}".rstrip()
    blocks: list[RichText | Table | Padding] = [_table(data), RichText(note, style="dim")]
    blocks.append(Padding(RichText(finding(data), style="bold"), (1, 0)))
    for verdict in judge(study):
        blocks.append(RichText(verdict.sentence))
        blocks.append(Padding(RichText(verdict.advice, style="dim"), (0, 0, 0, 2)))
    return Group(*blocks, render_observations(study))


def _table(data: StudyTable) -> Table:
    from rich import box
    from rich.table import Table

    rows = lines(data)
    pairs = {cell.n for line in rows for cell in line[4:] if cell.n is not None}
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    longest = max(len(line[0].main) for line in rows)
    table.add_column("arm", width=min(longest, _WIDEST), overflow="fold")
    for title in _titles(data, pairs):
        table.add_column(title, justify="right", overflow="fold")
    for line in rows:
        cells = line[1:] if data.missing else line[2:]
        table.add_row(line[0].main, *(_cell(cell, say_n=len(pairs) > 1) for cell in cells))
    return table


def _titles(data: StudyTable, pairs: Collection[int]) -> list[str]:
    runs = ["runs"] if data.missing else []
    titles = [*runs, "training\nloss", "test acc.\n%"]
    if data.baseline is None:
        return titles
    n = f"n = {next(iter(pairs))} pairs" if len(pairs) == 1 else "paired"
    below = f"minus {data.baseline}\n{n}"
    return [*titles, f"loss\n{below}", f"accuracy\n{below}"]


def _cell(text: Text, *, say_n: bool) -> RichText:
    from rich.text import Text as RichText

    cell = RichText(text.main, style="bold" if text.decided else "")
    n = f"n = {text.n}" if say_n and text.n is not None else ""
    for below in (text.spread, text.detail, n):
        if below:
            cell.append(f"\n{below}", style="dim not bold")
    return cell
