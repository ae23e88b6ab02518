"""What ``droptime dynamics RUN`` does: measure the weights that a run saved."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from droptime.records import DynamicsRow, Estimate
from droptime.training.checkpoint import steps_saved
from droptime.training.trainer import Trainer
from droptime.training.weights import find_weights

COLUMNS = {
    "gradient_norm": "norm",
    "distance": "distance",
    "variance": "GDV",
    "error": "GDE",
    "variance_effect": "GDV effect",
    "error_effect": "GDE effect",
}


def measure_run(run: Path, options: Mapping[str, Any], *, as_json: bool) -> None:
    """Measure every checkpoint of a run and its last weights, and print what was found."""
    console, rows = Console(highlight=False), []
    for row in _rows(run, options):
        rows.append(row)
        if not as_json:
            console.print(f"[dim]measured after {row.step:,} steps[/dim]")
    if as_json:
        print(json.dumps({"run": str(run), "rows": [asdict(row) for row in rows]}, indent=2))
    else:
        console.print(table(rows))


def _rows(run: Path, options: Mapping[str, Any]) -> Iterator[DynamicsRow]:
    folder = run / "checkpoints"
    files = [folder / f"step-{step:08d}.safetensors" for step in steps_saved(folder)]
    found = [find_weights(file) for file in files]
    if (run / "model.safetensors").is_file() or not found:
        found.append(find_weights(run))
    config = replace(found[0].config, **{"probe_every": 1, **options})
    trainer = Trainer(config, run, listen=lambda _: None)
    for one in found:
        step = trainer.total_steps if one.step is None else one.step
        yield trainer.gradients_at(one.weights["raw"], step)


def table(rows: list[DynamicsRow]) -> Table:
    """One line for each moment that was measured."""
    first = rows[0]
    distance = "(1 - cos) / 2" if first.halved else "1 - cos"
    gradients = f"{first.batches} gradients of {first.batch_size:g} images"
    made = Table(
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title=f"{gradients}; directions are {distance}",
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
