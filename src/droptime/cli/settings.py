"""Every setting of a run as an option, made from the config's own fields and docstring."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_type_hints

import tyro

from droptime.cli.pairs import read_pairs
from droptime.records import JSON
from droptime.training import TrainConfig

PLAIN = tyro.conf.arg(help_behavior_hint="")


def _settings() -> type[Any]:
    """Make a class with every setting of a run, none of them given."""
    hints, documented = get_type_hints(TrainConfig), dict(_documented())
    rows: list[tuple[str, Any, Any]] = []
    for spec in dataclasses.fields(TrainConfig):
        if spec.name == "model_args":
            pairs = tyro.conf.arg(metavar="KEY=VALUE ...", help_behavior_hint="")
            rows.append((spec.name, Annotated[tuple[str, ...], pairs], ()))
        elif spec.type == "bool":
            rows.append((spec.name, Annotated[bool, PLAIN, tyro.conf.FlagCreatePairsOff], False))
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


Settings = _settings()
NONE_GIVEN = Settings()


def given(settings: Any) -> dict[str, JSON]:  # noqa: ANN401 - the class is made from the config's
    """Return the settings that were given, by name."""
    values = {spec.name: getattr(settings, spec.name) for spec in dataclasses.fields(settings)}
    pairs = values.pop("model_args")
    found = {name: v for name, v in values.items() if v is not None and v is not False}
    return found | ({"model_args": read_pairs("--model-args", pairs)} if pairs else {})


def changed(config: TrainConfig, settings: Mapping[str, JSON]) -> TrainConfig:
    """Return the config with other settings; model arguments are added to its own.

    Raises:
        ConfigError: a setting, or a combination of settings, that cannot work.
    """
    arguments: Any = settings.get("model_args", {})
    return TrainConfig.from_dict(
        {**config.to_dict(), **settings, "model_args": {**config.model_args, **arguments}}
    )
