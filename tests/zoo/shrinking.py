"""Small configs of transformers, made from the names and defaults of a config's own fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from tests.zoo.sizes import LAYERS, small


def shrink(config_class: Any, rate: float, changes: Mapping[str, Any]) -> Any:
    """A small config of a class with all its drop rates at ``rate``, sub-configs too.

    ``changes`` go last: the name of a field, or ``"vision_config.depth"`` for one of a sub-config.
    """
    config = config_class(**_arguments(config_class, rate, changes, {}, {}))
    for name, default in _rates(config_class, _defaults(config_class)):
        if _whole(config_class, name) and name not in changes:
            vars(config)[name] = _set(default, rate)  # its check takes whole numbers only
    return config


def _arguments(
    config_class: Any,
    rate: float,
    changes: Mapping[str, Any],
    known: Mapping[str, Any],
    tokens: dict[int, int],
) -> dict[str, Any]:
    """The arguments of a small config; ``known`` are those a composite gives it by default."""
    defaults = {**_defaults(config_class), **known}
    arguments = dict(known)
    for name, default in defaults.items():
        if (value := small(name, default, defaults, tokens)) is not default:
            arguments[name] = value
    for name, default in _rates(config_class, defaults):
        if not _whole(config_class, name):
            arguments[name] = _set(default, rate)
    arguments |= _layer_types(config_class, defaults, arguments)
    arguments |= _rotary_sections(config_class, defaults)
    arguments |= _sub_configs(config_class, rate, changes, tokens)
    for name, value in changes.items():
        if isinstance(value, dict):
            value = {key: rate if "drop" in str(key) else each for key, each in value.items()}
        if "." not in name:
            arguments[name] = value
    return arguments


def _sub_configs(
    config_class: Any, rate: float, changes: Mapping[str, Any], tokens: dict[int, int]
) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name, spec in config_class.sub_configs_defaults.items():
        if name in changes:
            continue
        inner = {
            key.removeprefix(f"{name}."): value
            for key, value in changes.items()
            if key.startswith(f"{name}.")
        }
        sub_class, known = spec.config_class, spec.init_kwargs
        if not hasattr(sub_class, "model_type"):  # AutoConfig
            model_type = inner.setdefault("model_type", spec.model_type)
            sub_class = spec.get_config_class(model_type)
            known = known if model_type == spec.model_type else {}
        arguments[name] = _arguments(sub_class, rate, inner, known, tokens)
    return arguments


def _defaults(config_class: Any) -> dict[str, Any]:
    """A config's own fields and what they are by default, without those of every config."""
    from transformers import PreTrainedConfig

    common = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    found = {}
    for field in dataclasses.fields(config_class):
        if field.name in common or field.name in config_class.sub_configs_defaults:
            continue
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def _rates(config_class: Any, defaults: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every field that is a drop rate, or a rate for each layer."""
    for field in dataclasses.fields(config_class):
        default = defaults.get(field.name)
        if "drop" not in field.name or isinstance(default, (bool, str)):
            continue
        if default is not None or "float" in str(field.type):
            yield field.name, default


def _whole(config_class: Any, name: str) -> bool:
    """Whether a config declares a rate a whole number, so that it takes none between 0 and 1."""
    return config_class.__dataclass_fields__[name].type in (int, "int")


def _set(default: Any, rate: float) -> Any:
    return type(default)(rate for _ in default) if isinstance(default, (list, tuple)) else rate


def _layer_types(
    config_class: Any, defaults: Mapping[str, Any], arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Of models whose layers are of several types: one layer of each."""
    names = [n for n in ("layer_types", "mlp_layer_types", "layers_block_type") if n in defaults]
    if not names or "num_hidden_layers" not in defaults:
        return {}
    usual = config_class()
    lists = {name: getattr(usual, name, None) for name in names}
    types = {name: list(dict.fromkeys(v)) for name, v in lists.items() if isinstance(v, list)}
    if not types:
        return {}
    layers = max(arguments.get("num_hidden_layers", LAYERS), *map(len, types.values()))
    filled = {name: [*each, *each[-1:] * layers][:layers] for name, each in types.items()}
    return filled | {"num_hidden_layers": layers}


def _rotary_sections(config_class: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Of rotary embeddings of time, height and width: sections that fill a small head."""
    keys = getattr(config_class, "ignore_keys_at_rope_validation", None) or ()
    if "mrope_section" not in keys or "rope_parameters" not in defaults:
        return {}
    given = defaults["rope_parameters"] or {"rope_type": "default", "rope_theta": 10000.0}
    return {"rope_parameters": {**given, "mrope_section": [2, 3, 3]}}
