"""The table in text: one set of words for the page, the Markdown file and the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from droptime.report.table import ArmRow, Cell, StudyTable
from droptime.stats import interval_text, mean_text, plain, signed

COLUMNS = ("arm", "runs", "final training loss", "test accuracy, %")
_FEWEST, _MOST = 2, 6


@dataclass(frozen=True)
class Text:
    """What one cell says.

    Attributes:
        main: the number, or a word where there is none.
        spread: half the interval of a mean, with its sign.
        detail: a difference's interval, an arm's curves, a reason.
        n: pairs of runs behind a difference's interval.
        decided: whether a difference's interval is off zero.
    """

    main: str
    spread: str = ""
    detail: str = ""
    n: int | None = None
    decided: bool = False


def columns(table: StudyTable) -> tuple[str, ...]:
    """Return the column titles; without a baseline there are no differences."""
    if table.baseline is None:
        return COLUMNS
    return (
        *COLUMNS,
        f"training loss minus {table.baseline}",
        f"test accuracy minus {table.baseline}, points",
    )


def lines(table: StudyTable) -> list[tuple[Text, ...]]:
    """Return the cells of each row, as many as there are columns."""
    digits = _loss_digits(table)
    return [_line(table, row, digits) for row in table.rows]


def curve_text(curves: Mapping[str, str]) -> str:
    """Say what an arm drives.

    >>> curve_text({"drop_path": "standard(0.1)"}), curve_text({})
    ('drop_path: standard(0.1)', 'nothing driven')
    """
    return ", ".join(f"{kind}: {text}" for kind, text in curves.items()) or "nothing driven"


def _line(table: StudyTable, row: ArmRow, digits: int) -> tuple[Text, ...]:
    runs = str(row.n) if row.n == row.planned else f"{row.n} of {row.planned}"
    cells = (
        Text(row.arm, detail=curve_text(row.curves)),
        Text(runs),
        _mean(row.train_loss, digits=digits, scale=1.0),
        _mean(row.test_accuracy, digits=2, scale=100.0),
    )
    if table.baseline is None:
        return cells
    return (
        *cells,
        _difference(row.loss_difference, digits=digits, scale=1.0),
        _difference(row.accuracy_difference, digits=2, scale=100.0),
    )


def _mean(cell: Cell, *, digits: int, scale: float) -> Text:
    if cell.estimate is not None:
        mean, plus_minus, half = mean_text(cell.estimate, digits=digits, scale=scale).split(" ")
        return Text(mean, spread=f"{plus_minus} {half}")
    return _without_interval(cell, digits=digits, scale=scale)


def _difference(cell: Cell | None, *, digits: int, scale: float) -> Text:
    if cell is None:
        return Text("baseline")
    if cell.estimate is None:
        return _without_interval(cell, digits=digits, scale=scale)
    interval = interval_text(cell.estimate, digits=digits, scale=scale)
    mean = signed(cell.estimate.mean * scale, digits=digits)
    return Text(mean, detail=interval, n=cell.n, decided=cell.sign != 0)


def _without_interval(cell: Cell, *, digits: int, scale: float) -> Text:
    if not cell.values:
        return Text("\N{EN DASH}")
    lost = [str(seed) for seed, value in cell.values.items() if not math.isfinite(value)]
    if lost:
        return Text("not finite", detail=f"seed {', '.join(lost)}")
    (only,) = cell.values.values()
    return Text(plain(only * scale, digits=digits), detail="no interval", n=1)


def _loss_digits(table: StudyTable) -> int:
    """Enough digits that the narrowest interval still shows two that matter."""
    cells = [cell for row in table.rows for cell in (row.train_loss, row.loss_difference) if cell]
    widths = [cell.estimate.half_width for cell in cells if cell.estimate and cell.estimate.sd > 0]
    if not widths:
        return 4
    return min(max(1 - math.floor(math.log10(min(widths))), _FEWEST), _MOST)
