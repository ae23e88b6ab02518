"""``droptime study``: arms x seeds trained, compared and reported with one command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from droptime.cli.pairs import read_pairs
from droptime.cli.settings import with_nones
from droptime.cli.study_run import run_study
from droptime.errors import ConfigError
from droptime.records import JSON
from droptime.study import StudyRecipe, preset
from droptime.study.grid import KINDS
from droptime.study.recipe import PRESETS

_PLAIN = ""  # no hint after the help: it says the default itself where there is one
Text = Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint=_PLAIN)]
Whole = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint=_PLAIN)]
Rate = Annotated[float | None, tyro.conf.arg(metavar="RATE", help_behavior_hint=_PLAIN)]
Pairs = Annotated[
    tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE ...", help_behavior_hint=_PLAIN)
]
Names = Annotated[tuple[str, ...], tyro.conf.arg(metavar="ARM ...", help_behavior_hint=_PLAIN)]
Drop = Annotated[
    Literal["dropout", "drop_path", "both"] | None,
    tyro.conf.arg(metavar="{dropout,drop_path,both}", help_behavior_hint=_PLAIN),
]
File = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint=_PLAIN)]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint=_PLAIN)]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What all runs share.

    Attributes:
        data: folder:PATH with one folder of images a class, or a timm data set name.
        model: a timm model name.
        model_args: arguments of the model, KEY=VALUE each: img_size=32 patch_size=4.
        epochs: length of each run.
        batch_size: images per optimizer step.
        image_size: side of the images in pixels.
        train_limit: train on this many images only.
        test_limit: test on this many images only.
        settings: any other training setting, KEY=VALUE each: lr=5e-4 mixup=0.8.
    """

    data: Text = None
    model: Text = None
    model_args: Pairs = ()
    epochs: Whole = None
    batch_size: Whole = None
    image_size: Whole = None
    train_limit: Whole = None
    test_limit: Whole = None
    settings: Pairs = ()

    def config(self) -> dict[str, JSON]:
        """Return the training settings that were given, by their name.

        Raises:
            ConfigError: a pair of another form, or a setting given twice.
        """
        given = _given(self)
        pairs = with_nones(read_pairs("--settings", given.pop("settings", ())))
        for name in given.keys() & pairs.keys():
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{name} is given by {option} and by --settings: give it once.")
        if "model_args" in given:
            given["model_args"] = read_pairs("--model-args", given["model_args"])
        return given | pairs


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What is compared.

    Attributes:
        arms: any of none, standard, early, late, or your own as NAME=CURVE; all four by default.
        drop: what the arms drive, by default dropout.
        dropout: rate of the dropout arms, by default 0.1.
        drop_path: rate of the stochastic depth arms, by default 0.1.
        cutoff: where early ends and late begins: 20ep, 300st or, by default, 17%.
        seeds: runs of each arm, by default 3.
    """

    arms: Names = ()
    drop: Drop = None
    dropout: Rate = None
    drop_path: Rate = None
    cutoff: Text = None
    seeds: Whole = None


def study(
    ready: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[READY]", help_behavior_hint="")
    ] = None,
    *,
    shared: Annotated[Shared, tyro.conf.arg(name="")] = Shared(),
    compared: Annotated[Compared, tyro.conf.arg(name="")] = Compared(),
    out: Folder = None,
    workers: Whole = None,
) -> None:
    """Train every arm with every seed, compare them and write the report.

    "droptime study digits" needs nothing else. For your own images: "droptime study --data
    folder:PATH --model vit_tiny_patch16_224". Stop with Ctrl-C; the same command continues.

    Args:
        ready: digits, or a training that is ready to run (cifar10, cifar100, tiny_imagenet);
            options change it.
        shared: what all runs share.
        compared: what is compared.
        out: folder of the study, by default runs/NAME.
        workers: runs at a time; by default one a GPU, else one a core.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers {workers}: expected at least 1.")
    recipe = plan(ready, shared=shared.config(), compared=_given(compared))
    run_study(recipe.grid(), out or Path("runs") / recipe.name, workers=workers)


def plan(
    ready: str | None, *, shared: Mapping[str, JSON], compared: Mapping[str, Any]
) -> StudyRecipe:
    """Return the ready study, or one of the user's own, with the options given.

    Model arguments are added to those of the ready study; every other setting replaces.

    Raises:
        ConfigError: no such ready study, neither it nor data and model, or a setting that
            training does not know.
    """
    from droptime.training import TrainConfig

    start = StudyRecipe(name=_name_of(shared)) if ready is None else _start(ready)
    base = {**start.base, **shared}
    ready_args, own_args = start.base.get("model_args"), shared.get("model_args")
    if isinstance(ready_args, Mapping) and isinstance(own_args, Mapping):
        base["model_args"] = {**ready_args, **own_args}
    recipe = replace(start, base=base, **compared)
    for job in recipe.grid().jobs("."):
        TrainConfig.from_dict(job.config)
    return recipe


def _start(ready: str) -> StudyRecipe:
    """Return a ready study, or the paper's arms on a training that is ready to run."""
    from droptime.training.settings.recipes import SMALL
    from droptime.training.settings.recipes import ready as ready_training

    if ready in PRESETS or ready not in SMALL:
        return preset(ready, also=SMALL)
    given = ("arm", "seed", *KINDS)
    settings = ready_training(ready).to_dict()
    base = {name: value for name, value in settings.items() if name not in given}
    return StudyRecipe(name=ready, base=base)


def _name_of(shared: Mapping[str, JSON]) -> str:
    for needed in ("data", "model"):
        if needed not in shared:
            raise ConfigError(
                f"No --{needed} given. Run a ready study, droptime study digits, or your own: "
                "droptime study --data folder:PATH --model vit_tiny_patch16_224"
            )
    kind, _, place = str(shared["data"]).partition(":")
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", Path(place).name or kind).strip("-.") or "study"


def _given(options: Shared | Compared) -> dict[str, Any]:
    return {name: value for name, value in asdict(options).items() if value not in (None, ())}
