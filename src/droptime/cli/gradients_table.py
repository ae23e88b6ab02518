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
    """One line for each moment that was measured."""
    first = rows[0]
    distance = "(1 - cos) / 2" if first.halved else "1 - cos"
    gradients = f"{first.batches} gradients of {first.batch_size:g} images"
    against = f"GDE is to {reference_text(rows)}"
    made = Table(
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title=f"{gradients}; directions are {distance}; {against}",
    )
    made.add_column("step", justify="right")
    shown = [name for name in COLUMNS if any(name in row.values for row in rows)]
    for name in shown:
        made.add_column(COLUMNS[name], justify="right")
    for row in rows:
        made.add_row(f"{row.step:,}", *(_cell(row.values.get(name)) for name in shown))
    return made


def _cell(found: Estimate | None) -> str:
    if found is None:
        return "-"
    spread = f" ± {found.error:.2g}" if found.error and math.isfinite(found.error) else ""
    return f"{found.value:.4g}{spread}"
