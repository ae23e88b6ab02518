"""``droptime data check``: reads a data set whole and says what is wrong with it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.markup import escape

from droptime.errors import ConfigError
from droptime.training import TrainConfig
from droptime.training.data.check import Report, check_data
from droptime.training.data.findings import ERROR
from droptime.training.models.finetuning import SETS

_SHOWN = 5
PLAIN = tyro.conf.arg(help_behavior_hint="")
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff, PLAIN]
Text = Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]


def data_command(
    action: Annotated[Literal["check"], tyro.conf.Positional, tyro.conf.arg(metavar="check")],
    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")],
    /,
    *,
    data_dir: Text = None,
    train_split: Annotated[str, PLAIN] = "train",
    test_split: Annotated[str, PLAIN] = "validation",
    min_side: Annotated[int, tyro.conf.arg(metavar="N", help_behavior_hint="")] = 16,
    strict: Flag = False,
    as_json: Annotated[
        bool,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.arg(name="json", help_behavior_hint=""),
    ] = False,
) -> None:
    """Decode every image of a data set and say what is wrong with it.

    Example: droptime data check folder:PATH. Exit status: 0, or 1 if there are errors.

    Args:
        action: what to do; check is all there is.
        data: folder:PATH, a data set by name, or another that droptime train reads.
        data_dir: where a data set by name lies.
        train_split: what a data set by name calls its training set [train].
        test_split: what it calls the set to test on [validation].
        min_side: name images with a side shorter than this many pixels [16].
        strict: exit with 1 for warnings too.
        as_json: print everything as JSON, every image by name.
    """
    if min_side < 1:
        raise ConfigError(f"--min-side {min_side}: expected at least 1.")
    config = TrainConfig(
        data=SETS.get(data, data),
        data_dir=data_dir,
        train_split=train_split,
        test_split=test_split,
    )
    report = check_data(config, min_side=min_side)
    if as_json:
        print(json.dumps(asdict(report), indent=2))
    else:
        _show(report)
    if report.errors or (strict and report.findings):
        sys.exit(1)


def _show(report: Report) -> None:
    console = Console(highlight=False)
    counts = ", ".join(f"{number:,} in {name}" for name, number in report.splits.items())
    classes = "1 class" if report.classes == 1 else f"{report.classes:,} classes"
    console.print(f"{escape(report.data)}: {counts}; {classes}.", soft_wrap=True)
    for finding in report.findings:
        colour = "red" if finding.severity == ERROR else "yellow"
        count = "" if finding.kind == "modes" else f" {len(finding.names):,}"
        console.print(
            f"[{colour}]{finding.severity}[/] {finding.kind}{count}: {escape(finding.why)}",
            soft_wrap=True,
        )
        for name in finding.names[:_SHOWN]:
            console.print(f"  {escape(name)}", soft_wrap=True)
        if len(finding.names) > _SHOWN:
            console.print(f"  and {len(finding.names) - _SHOWN:,} more (--json names all)")
    if not report.findings:
        console.print("Nothing is wrong with it.")
