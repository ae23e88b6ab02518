"""``droptime eval``: the weights of a run, measured on every image once."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from droptime.cli.processes import leave, speaks
from droptime.errors import ConfigError
from droptime.training.measuring.measure import Result, measure
from droptime.training.saving.weights import Found, find_weights

_PLAIN = tyro.conf.arg(help_behavior_hint="")
Text = Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]
Path_ = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_OR_CHECKPOINT")]
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff, _PLAIN]
Split = Annotated[
    Literal["test", "train", "both"],
    tyro.conf.arg(metavar="{test,train,both}", help_behavior_hint=""),
]
Whole = Annotated[int, tyro.conf.arg(metavar="N", help_behavior_hint="")]


def eval_command(
    path: Path_,
    /,
    *,
    split: Split = "test",
    data: Text = None,
    data_dir: Text = None,
    batch_size: Whole = 256,
    cpu: Flag = False,
    as_json: Annotated[
        bool,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.arg(name="json", help_behavior_hint=""),
    ] = False,
) -> None:
    """Measure a run's weights and their average on every image of its data, once.

    Example: droptime eval runs/x --split both

    Args:
        path: a run directory, one of its checkpoints, or its model.safetensors.
        split: what to measure on [test].
        data: the run's data, if it lies elsewhere now (folder:PATH).
        data_dir: the folder of a data set by name, if it lies elsewhere now.
        batch_size: images per forward [256].
        cpu: compute on the CPU even where there is a GPU.
        as_json: print JSON instead of a table.
    """
    if batch_size < 1:
        raise ConfigError(f"--batch-size {batch_size}: expected at least 1.")
    found = find_weights(path)
    given = {"data": data, "data_dir": data_dir, "device": "cpu" if cpu else None}
    changes = {name: value for name, value in given.items() if value is not None}
    found = replace(found, config=replace(found.config, **changes))  # type: ignore[arg-type]
    splits: tuple[Literal["train", "test"], ...] = (
        ("train", "test") if split == "both" else (split,)
    )
    results = list(measure(found, splits=splits, batch_size=batch_size))
    leave()
    if not speaks():
        return
    if as_json:
        where = {"path": str(found.path), "data": found.config.data, "step": found.step}
        print(json.dumps({**where, "results": [asdict(result) for result in results]}, indent=2))
    else:
        _show(found, results)


def _show(found: Found, results: list[Result]) -> None:
    console = Console(highlight=False)
    when = "at the end" if found.step is None else f"after {found.step:,} steps"
    console.print(
        f"{found.path} ({found.config.model}, {when}) on {found.config.data}",
        markup=False,
        soft_wrap=True,
    )
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("weights")
    table.add_column("split")
    for name in ("images", "correct", "accuracy", "loss"):
        table.add_column(name, justify="right")
    for one in results:
        counts = (f"{one.images:,}", f"{one.correct:,}", f"{one.accuracy:.2%}", f"{one.loss:.4f}")
        table.add_row(one.weights, one.split, *counts)
    console.print(table)
