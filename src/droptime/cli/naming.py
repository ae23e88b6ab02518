"""A model named on the command line: ``timm:...``, ``torchvision:...``, ``hf:...``, ``module:...``.

Nothing is downloaded and no weights are loaded: where a model's rates live does not depend on them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from droptime.errors import ConfigError, DroptimeError, MissingExtraError
from droptime.records import JSON
from droptime.sites import Site, find_sites

Arguments: TypeAlias = Mapping[str, JSON]
Factory: TypeAlias = Callable[[], object]

FORMS = "timm:NAME, torchvision:NAME, hf:FOLDER, hf:MODEL_TYPE or module:PACKAGE.FACTORY"
_WEIGHTS = ("pretrained", "weights", "weights_backbone", "pretrained_backbone", "checkpoint_path")


def named_sites(text: str, arguments: Arguments) -> tuple[tuple[Site, ...], str]:
    """Return the sites of a named model, and why it was built on the CPU or ``""``.

    It is built on the meta device, where parameters take no memory; on the CPU if it cannot be.

    Raises:
        ConfigError: there is no such model, or it refuses the arguments.
        MissingExtraError: its library is not installed.
    """
    factory = find_factory(text, arguments)
    try:
        with torch.device("meta"):
            return find_sites(_module(text, factory())), ""
    except DroptimeError:
        raise
    except Exception as error:
        reason = _first_line(error)
    try:
        sites = find_sites(_module(text, factory()))
    except DroptimeError:
        raise
    except Exception as error:
        message = f"{text} cannot be built{_given(arguments)}: {_first_line(error)}"
        raise ConfigError(message) from error
    return sites, f"built on the CPU: on the meta device it failed with {reason}"


def find_factory(text: str, arguments: Arguments) -> Factory:
    """Return what builds the model; nothing is built yet.

    Raises:
        ConfigError: the text has another form, there is no such model, or it asks for weights.
        MissingExtraError: its library is not installed.
    """
    library, colon, name = text.partition(":")
    if not (colon and name) or library not in _LIBRARIES:
        near = get_close_matches(library, _LIBRARIES, n=1) if colon else ["timm"]
        example = f" Did you mean {near[0]}:{name or text}?" if near else ""
        raise ConfigError(f"{text!r} names no model: write {FORMS}.{example}")
    if asked := [key for key in _WEIGHTS if arguments.get(key)]:
        raise ConfigError(f"{asked[0]} asks for weights, which a plan does not need: leave it out.")
    return _LIBRARIES[library](name, arguments)


def _timm(name: str, arguments: Arguments) -> Factory:
    timm = _library("timm", "train")
    if not timm.is_model(name):
        raise _unknown("timm", name, timm.list_models())
    return lambda: timm.create_model(name, **arguments)


def _torchvision(name: str, arguments: Arguments) -> Factory:
    models = _library("torchvision", "train").models
    if name not in models.list_models():
        raise _unknown("torchvision", name, models.list_models())
    builder = models.get_model_builder(name)
    without = {
        key: None for key in ("weights", "weights_backbone") if key in signature(builder).parameters
    }
    return lambda: builder(**{**without, **arguments})


def _huggingface(name: str, arguments: Arguments) -> Factory:
    transformers = _library("transformers", "transformers")
    path, known = Path(name).expanduser(), transformers.CONFIG_MAPPING
    if path.is_file() or (path / "config.json").is_file():
        config = _read_config(transformers, path, arguments)
    elif name in known:
        config = _default_config(known[name], name, arguments)
    else:
        near = get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(f'hf:{one}' for one in near)}? " if near else ""
        raise ConfigError(
            f"hf:{name} is neither a model type of transformers nor a local folder with a "
            f"config.json: {hint}nothing is downloaded here; fetch the configuration first, with "
            f"AutoConfig.from_pretrained({name!r}).save_pretrained('FOLDER'), then give hf:FOLDER."
        )
    return lambda: transformers.AutoModel.from_config(config)


def _read_config(transformers: Any, path: Path, arguments: Arguments) -> Any:  # noqa: ANN401 - theirs
    try:
        config, unused = transformers.AutoConfig.from_pretrained(
            str(path),
            local_files_only=True,
            trust_remote_code=False,
            return_unused_kwargs=True,
            **arguments,
        )
    except Exception as error:
        raise ConfigError(
            f"hf:{path} cannot be read as a configuration{_given(arguments)}: {_first_line(error)}"
        ) from error
    _check_settings(config, [key for key in arguments if key in unused])
    return config


def _default_config(kind: Any, name: str, arguments: Arguments) -> Any:  # noqa: ANN401 - theirs
    try:
        default = kind()
        _check_settings(default, [key for key in arguments if not hasattr(default, key)])
        return kind(**arguments) if arguments else default
    except DroptimeError:
        raise
    except Exception as error:
        raise ConfigError(
            f"hf:{name} cannot be configured{_given(arguments)}: {_first_line(error)}; give a "
            "local folder with a config.json, hf:FOLDER."
        ) from error


def _check_settings(config: Any, unknown: Sequence[str]) -> None:  # noqa: ANN401 - theirs
    if unknown:
        near = get_close_matches(unknown[0], config.to_dict(), n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ConfigError(f"{type(config).__name__} has no setting {unknown[0]!r}.{hint}")


def _own(name: str, arguments: Arguments) -> Factory:
    """A factory of the user's own, also one in the current folder."""
    module, colon, attribute = name.partition(":")
    if not colon:
        module, _, attribute = name.rpartition(".")
    if not (module and attribute):
        raise ConfigError(
            f"module:{name} names no factory: write module:PACKAGE.FACTORY, such as "
            "module:my_project.models.build."
        )
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise ConfigError(f"module:{name} cannot be imported: {_first_line(error)}") from error
    finally:
        sys.path.remove(here)
    if isinstance(found, nn.Module):
        return lambda: found
    if not callable(found):
        raise ConfigError(f"module:{name} is of type {type(found).__name__}: expected a function.")
    return lambda: found(**arguments)


_LIBRARIES: Mapping[str, Callable[[str, Arguments], Factory]] = {
    "timm": _timm,
    "torchvision": _torchvision,
    "hf": _huggingface,
    "module": _own,
}


def _library(name: str, extra: str) -> Any:  # noqa: ANN401 - a library that may be missing
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(name, extra, f"A model of {name}") from error


def _module(text: str, built: object) -> nn.Module:
    if isinstance(built, nn.Module):
        return built
    raise ConfigError(
        f"{text} returned an object of type {type(built).__name__}: expected a torch.nn.Module."
    )


def _unknown(library: str, name: str, known: Iterable[str]) -> ConfigError:
    near = get_close_matches(name, list(known), n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"see {library}'s list_models()."
    return ConfigError(f"{library} has no model {name!r}: {hint}")


def _given(arguments: Arguments) -> str:
    return f" with {dict(arguments)}" if arguments else ""


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
