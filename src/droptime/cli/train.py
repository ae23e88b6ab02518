"""``droptime train``: one run, every setting an option, progress as it goes."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from droptime.cli.processes import leave, speaks
from droptime.cli.settings import NONE_GIVEN, PLAIN, Settings, changed, given
from droptime.cli.train_progress import TrainProgress
from droptime.errors import ConfigError
from droptime.records import JSON
from droptime.training import PAPER_ARMS, TrainConfig, paper_rate, ready, train, with_arm

Ready = Literal["digits", "cifar10", "cifar100", "tiny_imagenet", "basic", "improved", "late"]
PaperArm = Annotated[str | None, tyro.conf.arg(metavar="ARM", help_behavior_hint="")]


def train_command(
    recipe: Annotated[
        Ready | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[RECIPE]", help_behavior_hint=""),
    ] = None,
    *,
    settings: Annotated[Settings, tyro.conf.arg(name="")] = NONE_GIVEN,  # type: ignore[valid-type]
    paper_arm: PaperArm = None,
    out: Annotated[Path, tyro.conf.arg(metavar="PATH", help_behavior_hint="")] = Path("runs/train"),
    print_config: Annotated[bool, tyro.conf.FlagCreatePairsOff, PLAIN] = False,
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff, PLAIN] = False,
    allow_change: Annotated[bool, tyro.conf.FlagCreatePairsOff, PLAIN] = False,
) -> None:
    """Train one model, driving its dropout along curves.

    Example: droptime train --data folder:PATH --model vit_tiny_patch16_224 --epochs 5 --dropout
    "early(0.1, until=20%)" --out runs/x. Stop with Ctrl-C; the same command continues.

    Args:
        recipe: settings that are ready to run, and that options change: digits, cifar10, cifar100,
            tiny_imagenet, or the paper's on ImageNet: basic, improved, late.
        settings: of the run.
        paper_arm: one of the paper's ways of dropping, at its rate: none, standard-dropout,
            early-dropout, late-dropout, standard-drop-path, early-drop-path, late-drop-path.
        out: directory of the run [runs/train].
        print_config: print the settings as JSON and train nothing.
        dry_run: print what the run would be (data, steps, sites, rates, memory); train nothing.
        allow_change: go on with a run that had other settings, where that is possible.
    """
    console = Console(highlight=False, quiet=not speaks())
    config = plan(recipe, given(settings))
    if paper_arm is not None:
        config = _with_paper_arm(config, paper_arm)
    if recipe == "late" or paper_arm is not None:
        _say_how_sure(config, Console(stderr=True, highlight=False, quiet=not speaks()))
    carry_out(
        config,
        out,
        console,
        print_config=print_config,
        dry_run=dry_run,
        allow_change=allow_change,
    )


def carry_out(
    config: TrainConfig,
    out: Path,
    console: Console,
    *,
    print_config: bool,
    dry_run: bool,
    allow_change: bool,
) -> None:
    """Train, or only print the settings, or only what the run would be."""
    if print_config:
        if speaks():
            print(json.dumps(config.to_dict(), indent=2))
        return
    if dry_run:
        from droptime.cli.train_outline import show_outline

        show_outline(config, console)
        return
    again = shlex.join(["droptime", *sys.argv[1:]])
    with TrainProgress(console, again=again) as progress:
        summary = train(config, out, listen=progress.hear, allow_change=allow_change)
        progress.finished(summary, out)
    leave()


def plan(recipe: str | None, settings: dict[str, JSON]) -> TrainConfig:
    """Return the ready config, or one from the settings alone, with the settings given.

    Model arguments are added to those of the ready config; every other setting replaces.

    Raises:
        ConfigError: there is neither, or a setting cannot work.
    """
    if recipe is None and "data" not in settings:
        raise ConfigError(
            "No --data given. Try droptime train digits, or your own images: "
            "droptime train --data folder:PATH --model vit_tiny_patch16_224"
        )
    if recipe is None:
        return TrainConfig.from_dict(settings)
    model = settings.get("model")
    start = ready(recipe, model if isinstance(model, str) else None)
    if settings.keys() & {"dropout", "drop_path"}:
        start = replace(start, arm=TrainConfig.arm)  # a recipe's own name is of its own curve
    return changed(start, settings)


def _with_paper_arm(config: TrainConfig, arm: str) -> TrainConfig:
    if config.dropout is not None or config.drop_path is not None:
        raise ConfigError(
            f"--paper-arm {arm} and a curve of dropout or drop_path are given: choose one."
        )
    return with_arm(config, arm)


def _say_how_sure(config: TrainConfig, console: Console) -> None:
    """Say where the rate of an arm of the paper is from, unless the authors' commands have it."""
    if config.arm in PAPER_ARMS[1:] and with_arm(config, config.arm) == config:
        rate = paper_rate(config.arm, config.model)
        if rate.status != "verified":
            console.print(f"{config.arm} of {config.model} at rate {rate.rate}: {rate.status}.")
