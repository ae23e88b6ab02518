"""Every setting of a run as an option, made from the config's own fields and docstring."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, get_args, get_type_hints

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from droptime.cli.pairs import read_pairs
from droptime.records import JSON
from droptime.training import TrainConfig

PLAIN = tyro.conf.arg(help_behavior_hint="")
_ABSENT: Final = object()
_KINDS = {str: ("TEXT", "some text"), int: ("N", "a whole number"), float: ("X", "a number")}


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
            rows.append((spec.name, Annotated[Any, _reader(hints[spec.name]), PLAIN], _ABSENT))
    made = dataclasses.make_dataclass("Settings", rows, frozen=True, kw_only=True)
    help_texts = "\n".join(f"    {name}: {text}" for name, text in documented.items())
    made.__doc__ = f"The settings of the run.\n\nArgs:\n{help_texts}\n"
    return made


def _documented() -> Iterator[tuple[str, str]]:
    """Yield (setting, what it is and its default), from the docstring of the config."""
    defaults = {spec.name: spec.default for spec in dataclasses.fields(TrainConfig)}
    text_of_all = re.sub(r"\n {12}", " ", TrainConfig.__doc__ or "")
    for name, text in re.findall(r"^ {8}(\w+): (.+)$", text_of_all, re.MULTILINE):
        if name in defaults:
            default = defaults[name]
            shown = not any(default is no for no in (None, False, dataclasses.MISSING))
            yield name, f"{text.rstrip('.')} [{default}]" if shown else text.rstrip(".")


def _reader(hint: Any) -> PrimitiveConstructorSpec[Any]:  # noqa: ANN401 - a type or a union
    """Return how one value is read; ``none`` switches off what may be none."""
    options = get_args(hint) or (hint,)
    kind: Any = next((option for option in options if option in _KINDS), None)
    metavar, expected = _KINDS.get(kind, ("|".join(map(str, options)), f"one of {options}"))

    def read(words: list[str]) -> Any:  # noqa: ANN401 - a value of that type
        (word,) = words
        if type(None) in options and word.lower() == "none":
            return None
        try:
            return word if kind is None else kind(word)
        except ValueError:
            ending = ", or none" if type(None) in options else ""
            raise ValueError(f"expected {expected}{ending}, not {word!r}") from None

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: True,
        str_from_instance=lambda value: [str(value)],
        choices=options if kind is None else None,
    )


Settings = _settings()
NONE_GIVEN = Settings()


def given(settings: Any) -> dict[str, JSON]:  # noqa: ANN401 - the class is made from the config's
    """Return the settings that were given, by name."""
    values = {spec.name: getattr(settings, spec.name) for spec in dataclasses.fields(settings)}
    pairs = values.pop("model_args")
    found = {name: v for name, v in values.items() if v is not _ABSENT and v is not False}
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


def with_nones(settings: dict[str, JSON]) -> dict[str, JSON]:
    """Return settings written as ``KEY=VALUE``, where ``none`` switches off what may be none."""
    hints = get_type_hints(TrainConfig)
    return {
        name: None if value == "none" and type(None) in get_args(hints.get(name)) else value
        for name, value in settings.items()
    }
