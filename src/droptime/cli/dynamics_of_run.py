"""What ``droptime dynamics RUN`` does: measure the weights that a run saved."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from droptime.cli.gradients_table import gradients_table
from droptime.records import DynamicsRow
from droptime.records.dynamics import dynamics_json
from droptime.training.saving.checkpoint import steps_saved
from droptime.training.saving.weights import find_weights
from droptime.training.trainer import Trainer


def measure_run(run: Path, options: Mapping[str, Any], *, as_json: bool) -> None:
    """Measure every checkpoint of a run and its last weights, and print what was found."""
    console, rows = Console(highlight=False), []
    for row in _rows(run, options):
        rows.append(row)
        if not as_json:
            console.print(f"[dim]measured after {row.step:,} steps[/dim]")
    if as_json:
        print(json.dumps({"run": str(run), "rows": [dynamics_json(row) for row in rows]}, indent=2))
    else:
        console.print(gradients_table(rows))


def _rows(run: Path, options: Mapping[str, Any]) -> Iterator[DynamicsRow]:
    folder = run / "checkpoints"
    files = [folder / f"step-{step:08d}.safetensors" for step in steps_saved(folder)]
    found = [find_weights(file) for file in files]
    if (run / "model.safetensors").is_file() or not found:
        found.append(find_weights(run))
    config = replace(
        found[0].config, **{"probe_every": 1, "shard": False, "trackers": None, **options}
    )
    trainer = Trainer(config, run, listen=lambda _: None)
    for one in found:
        step = trainer.total_steps if one.step is None else one.step
        yield trainer.gradients_at(one.weights["raw"], step)
