"""``droptime train``: one run, every setting an option, progress as it goes."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import tyro
from rich.console import Console

from droptime.cli.pairs import read_pairs
from droptime.cli.train_progress import TrainProgress
from droptime.errors import ConfigError
from droptime.records import JSON
from droptime.training import TrainConfig, paper_rate, ready, train, with_arm

_PLAIN = tyro.conf.arg(help_behavior_hint="")
Ready = Literal["digits", "cifar10", "cifar100", "tiny_imagenet", "basic", "improved", "late"]
PaperArm = Annotated[str | None, tyro.conf.arg(metavar="ARM", help_behavior_hint="")]


def _settings() -> type[Any]:
    """Make a class with every setting of a run, none of them given."""
    hints, documented = get_type_hints(TrainConfig), dict(_documented())
    rows: list[tuple[str, Any, Any]] = []
    for spec in dataclasses.fields(TrainConfig):
        if spec.name == "model_args":
            pairs = tyro.conf.arg(metavar="KEY=VALUE ...", help_behavior_hint="")
            rows.append((spec.name, Annotated[tuple[str, ...], pairs], ()))
        elif spec.type == "bool":
            rows.append((spec.name, Annotated[bool, _PLAIN, tyro.conf.FlagCreatePairsOff], False))
        else:
            metavar = tyro.conf.arg(metavar=_metavar(hints[spec.name]), help_behavior_hint="")
            rows.append((spec.name, Annotated[hints[spec.name] | None, metavar], None))
    made = dataclasses.make_dataclass("Settings", rows, frozen=True, kw_only=True)
    help_texts = "\n".join(f"    {name}: {text}" for name, text in documented.items())
    made.__doc__ = f"The settings of the run.\n\nArgs:\n{help_texts}\n"
    return made


def _documented() -> Iterator[tuple[str, str]]:
    """Yield (setting, what it is and its default), from the docstring of the config."""
    defaults = {spec.name: spec.default for spec in dataclasses.fields(TrainConfig)}
    for name, text in re.findall(r"^ {8}(\w+): (.+)$", TrainConfig.__doc__ or "", re.MULTILINE):
        if name in defaults:
            default = defaults[name]
            shown = not any(default is no for no in (None, False, dataclasses.MISSING))
            yield name, f"{text.rstrip('.')} [{default}]" if shown else text.rstrip(".")


def _metavar(hint: Any) -> str:  # noqa: ANN401 - a type or a union of types
    names = {str: "TEXT", int: "N", float: "X"}
    choices = getattr(hint, "__args__", (hint,))
    return next((names[kind] for kind in choices if kind in names), "|".join(map(str, choices)))


_Settings = _settings()
_NONE_GIVEN = _Settings()


def train_command(
    recipe: Annotated[
        Ready | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[RECIPE]", help_behavior_hint=""),
    ] = None,
    *,
    settings: Annotated[_Settings, tyro.conf.arg(name="")] = _NONE_GIVEN,  # type: ignore[valid-type]
    paper_arm: PaperArm = None,
    out: Annotated[Path, tyro.conf.arg(metavar="PATH", help_behavior_hint="")] = Path("runs/train"),
    print_config: Annotated[bool, tyro.conf.FlagCreatePairsOff, _PLAIN] = False,
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff, _PLAIN] = False,
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
    """
    console = Console(highlight=False)
    config = plan(recipe, given(settings))
    if paper_arm is not None:
        config = _with_paper_arm(config, paper_arm, Console(stderr=True, highlight=False))
    if print_config:
        print(json.dumps(config.to_dict(), indent=2))
        return
    if dry_run:
        from droptime.cli.train_outline import show_outline

        show_outline(config, console)
        return
    again = shlex.join(["droptime", *sys.argv[1:]])
    with TrainProgress(console, again=again) as progress:
        progress.finished(train(config, out, listen=progress.hear), out)


def given(settings: Any) -> dict[str, JSON]:  # noqa: ANN401 - the class is made from the config's
    """Return the settings that were given, by name."""
    values = {spec.name: getattr(settings, spec.name) for spec in dataclasses.fields(settings)}
    pairs = values.pop("model_args")
    found = {name: v for name, v in values.items() if v is not None and v is not False}
    return found | ({"model_args": read_pairs("--model-args", pairs)} if pairs else {})


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
    arguments: Any = settings.get("model_args", {})
    return TrainConfig.from_dict(
        {**start.to_dict(), **settings, "model_args": {**start.model_args, **arguments}}
    )


def _with_paper_arm(config: TrainConfig, arm: str, console: Console) -> TrainConfig:
    """Return the config with the arm; say where its rate is from, unless the paper says it."""
    if config.dropout is not None or config.drop_path is not None:
        raise ConfigError(
            f"--paper-arm {arm} and a curve of dropout or drop_path are given: choose one."
        )
    changed = with_arm(config, arm)
    if arm != "none" and (rate := paper_rate(arm, config.model)).status != "verified":
        console.print(f"{arm} of {config.model} at rate {rate.rate}: {rate.status}.")
    return changed
