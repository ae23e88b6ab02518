"""``droptime dynamics``: what dropout does to a run's gradients, measured as the paper did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from droptime.cli.study import File, Folder, Rate, Shared, Text, Whole, plan
from droptime.cli.study_run import run_study
from droptime.errors import ConfigError
from droptime.records import JSON
from droptime.study import StudyRecipe

_PAIR = ("none", "standard")
_DEFAULTS: Mapping[str, JSON] = {"probe_every": 100}
_OF_A_MEASUREMENT = ("probe_batches", "probe_reference", "probe_groups")
_OF_TRAINING = ("epochs", "test_limit", "seeds", "probe_every", "out", "workers")
_READY_DEFAULTS: Mapping[str, Mapping[str, JSON]] = {"digits": {"probe_batches": 12}}
"""What small data asks for: the study's 899 digits are 14 mini-batches."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What is measured.

    Attributes:
        dropout: rate of the arm that drops, by default 0.1.
        seeds: runs of each arm, by default 3.
        probe_every: optimizer steps between measurements, by default 100; the beginning is measured
            at powers of two too.
        probe_batches: mini-batches whose gradients are compared, by default 32 (digits: 12).
        probe_reference: batches of the gradient they are compared with, by default the whole set.
        probe_groups: also measure parts: layer, or patterns of names ("*.attn.*, head.*").
    """

    dropout: Rate = None
    seeds: Whole = None
    probe_every: Whole = None
    probe_batches: Whole = None
    probe_reference: Whole = None
    probe_groups: Text = None


_NO_SETTINGS = Shared()
_NO_OPTIONS = Measured()


def dynamics(
    target: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[READY|RUN]", help_behavior_hint=""),
    ] = None,
    *,
    shared: Annotated[Shared, tyro.conf.arg(name="")] = _NO_SETTINGS,
    measured: Annotated[Measured, tyro.conf.arg(name="")] = _NO_OPTIONS,
    checkpoint: File = None,
    out: Folder = None,
    workers: Whole = None,
    as_json: Annotated[
        bool,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.arg(name="json", help_behavior_hint=""),
    ] = False,
) -> None:
    """Train the paper's pair, without dropout and with it, and measure gradients along the way.

    "droptime dynamics digits" needs nothing else. Given the folder of a run, its saved weights are
    measured instead, and nothing is trained; so are those of --checkpoint, on --data as --model.
    Stop with Ctrl-C; the same command continues.

    Args:
        target: settings that are ready to run (digits, cifar10, ...), or the folder of a run.
        shared: what all runs share.
        measured: what is measured.
        checkpoint: weights to measure, a safetensors file; with --dropout also without it.
        out: folder of the study, by default runs/dynamics-NAME.
        workers: runs at a time; by default one a GPU, else one a core.
        as_json: print what weights show as JSON.
    """
    options = {name: value for name, value in asdict(measured).items() if value is not None}
    if checkpoint is not None:
        from droptime.cli.dynamics_of_weights import measure_weights

        _refuse_training(target, {**shared.config(), **options, "out": out, "workers": workers})
        settings = {**shared.config(), **options}
        dropout = settings.pop("dropout", None)
        measure_weights(checkpoint, settings, dropout=dropout, as_json=as_json)
        return
    if target is not None and (Path(target) / "config.json").is_file():
        from droptime.cli.dynamics_of_run import measure_run

        _refuse({**shared.config(), **options, "out": out, "workers": workers})
        measure_run(Path(target), options, as_json=as_json)
        return
    if target is not None and ("/" in target or Path(target).exists()):
        raise ConfigError(f"{target} is no folder of a run: it has no config.json.")
    if as_json:
        raise ConfigError(
            "--json tells what saved weights show: give the folder of a run, or --checkpoint."
        )
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers {workers}: expected at least 1.")
    recipe = pair(target, shared=shared.config(), options=options)
    run_study(recipe.grid(), out or Path("runs") / recipe.name, workers=workers)


def pair(
    target: str | None, *, shared: Mapping[str, JSON], options: Mapping[str, Any]
) -> StudyRecipe:
    """The study that trains and measures: no dropout against standard dropout.

    Raises:
        ConfigError: no such ready settings, or a setting that cannot work.
    """
    probes = {name: options[name] for name in options if name.startswith("probe_")}
    compared = {name: options[name] for name in ("dropout", "seeds") if name in options}
    base = {**_DEFAULTS, **_READY_DEFAULTS.get(target or "", {}), **shared, **probes}
    compared = {"seeds": 3, **compared, "arms": _PAIR, "drop": "dropout"}
    recipe = plan(target, shared=base, compared=compared)
    return replace(recipe, name=f"dynamics-{recipe.name}")


def _refuse(given: Mapping[str, Any]) -> None:
    """Refuse what does not act on a run that is there.

    Raises:
        ConfigError: such an option is given.
    """
    useless = [n for n, value in given.items() if value is not None and n not in _OF_A_MEASUREMENT]
    if useless:
        raise ConfigError(
            f"{_options(useless)}: a run that is there is measured as it was trained. Only "
            f"{_options(_OF_A_MEASUREMENT)} can be given."
        )


def _refuse_training(target: str | None, given: Mapping[str, Any]) -> None:
    """Refuse what does not act on weights that are there.

    Raises:
        ConfigError: it is given.
    """
    if target is not None:
        raise ConfigError(
            f"{target!r} and --checkpoint: give the folder of a run, whose saved weights are "
            "measured, or a weight file with its --model and --data."
        )
    useless = [name for name in _OF_TRAINING if given.get(name) is not None]
    if useless:
        raise ConfigError(
            f"{_options(useless)}: with --checkpoint weights are measured and nothing is trained."
        )


def _options(names: Iterable[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)
