"""How the gradients of one run look in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.table import Table

from droptime.records import DynamicsRow, Estimate
from droptime.report.dynamics import reference_text

COLUMNS = {
    "gradient_norm": "norm",
    "distance": "distance",
    "variance": "GDV",
    "error": "GDE",
    "variance_effect": "GDV effect",
    "error_effect": "GDE effect",
}


def gradients_table(rows: Sequence[DynamicsRow]) -> Table:
    """One line for each moment that was measured; effects only where something drops."""
    first = rows[0]
    made = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0,
        title_justify="left",
        title=f"{first.batches} gradients of {first.batch_size:g} images; directions are "
        f"{'(1 - cos) / 2' if first.halved else '1 - cos'}; GDE is to the gradient of "
        f"{reference_text(rows)}; ± standard error over mini-batches",
    )
    made.add_column("step", justify="right")
    shown = [name for name in COLUMNS if any(_says(row, name) for row in rows)]
    for name in shown:
        made.add_column(COLUMNS[name], justify="right", overflow="fold")
    for row in rows:
        made.add_row(f"{row.step:,}", *(_cell(row.values.get(name)) for name in shown))
    return made


def _says(row: DynamicsRow, name: str) -> bool:
    found = row.values.get(name)
    return found is not None and not (name.endswith("_effect") and found.value == 0)


def _cell(found: Estimate | None) -> str:
    """The value to the digits that its error leaves it: two if that begins with 1, else one.

    >>> _cell(Estimate(0.38917, 0.0193)), _cell(Estimate(0.04071, 0.0089)), _cell(None)
    ('0.389±0.019', '0.041±0.009', '-')
    """
    if found is None:
        return "-"
    if not found.error or not math.isfinite(found.error):
        return f"{found.value:.4g}"
    place = -math.floor(math.log10(found.error))
    digits = max(0, place + (found.error * 10**place < 2))
    return f"{found.value:.{digits}f}±{found.error:.{digits}f}"
