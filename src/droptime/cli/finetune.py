"""``droptime finetune``: a trained model on other data, its classifier replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from droptime.cli.processes import speaks
from droptime.cli.settings import NONE_GIVEN, PLAIN, Settings, changed, given
from droptime.cli.train import carry_out
from droptime.errors import ConfigError
from droptime.records import JSON
from droptime.training import TrainConfig
from droptime.training.models.finetuning import SETS, finetune

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff, PLAIN]


def finetune_command(
    start: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="START")],
    /,
    *,
    settings: Annotated[Settings, tyro.conf.arg(name="")] = NONE_GIVEN,  # type: ignore[valid-type]
    random: Flag = False,
    out: Annotated[Path, tyro.conf.arg(metavar="PATH", help_behavior_hint="")] = Path(
        "runs/finetune"
    ),
    print_config: Flag = False,
    dry_run: Flag = False,
    allow_change: Flag = False,
) -> None:
    """Train a model that was trained before on other data; its classifier is new.

    Example: droptime finetune runs/x --data folder:PATH --epochs 10 --out runs/y. Data by name:
    cifar10, cifar100, flowers, pets, stl10, food101. Stop with Ctrl-C; the same command continues.

    Args:
        start: a run directory, a safetensors file (with --model), or a timm model name.
        settings: of the run.
        random: begin with random weights instead of timm's pretrained ones.
        out: directory of the run [runs/finetune].
        print_config: print the settings as JSON and train nothing.
        dry_run: print what the run would be (data, steps, sites, rates, memory); train nothing.
        allow_change: go on with a run that had other settings, where that is possible.
    """
    config = plan(start, given(settings), random=random)
    console = Console(highlight=False, quiet=not speaks())
    carry_out(
        config,
        out,
        console,
        print_config=print_config,
        dry_run=dry_run,
        allow_change=allow_change,
    )


def plan(start: str, settings: dict[str, JSON], *, random: bool = False) -> TrainConfig:
    """Return the settings that fine-tune ``start``, changed by those given.

    Raises:
        ConfigError: no data is given, or a setting cannot work.
    """
    data, model = settings.pop("data", None), settings.pop("model", None)
    if not isinstance(data, str):
        raise ConfigError(
            f"No --data given: folder:PATH, a name such as torch/cifar100, or {', '.join(SETS)}."
        )
    if "weights" in settings:
        raise ConfigError("--weights and START are the same thing: give START alone.")
    name = model if isinstance(model, str) else None
    begun = finetune(start, data=data, model=name, random=random)
    return changed(begun, settings)
