"""Run a model in training mode and leave no trace of it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@contextmanager
def undisturbed(model: nn.Module, *, train_all: bool = True) -> Iterator[None]:
    """Put ``model`` in training mode; afterwards everything is as it was, also after an error.

    Without ``train_all`` a model that trains keeps its flags, so that layers frozen in eval mode
    stay so.

    Random streams (of torch on every device in use, numpy, Python), buffers, plain attributes,
    children, hooks and training flags of every module are bit-identical afterwards. Parameters and
    gradients are not saved: use ``torch.autograd.grad``, which leaves ``.grad`` alone. Memory: a
    copy of the buffers. What the user's own hooks do elsewhere cannot be undone.
    """
    modules = list(model.modules())
    attributes = [dict(vars(module)) for module in modules]
    tables = [_tables(module) for module in modules]
    buffers = [dict(module._buffers) for module in modules]
    values = {id(b): b.detach().clone() for held in buffers for b in held.values() if b is not None}
    streams = _streams()
    try:
        for module in modules if train_all or not model.training else ():
            module.training = True
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for module, found, inner, held in zip(modules, attributes, tables, buffers, strict=True):
            _restore(vars(module), found)
            _restore(module._buffers, held)
            for table, entries in inner:
                _restore(table, entries)
            for buffer in held.values():
                if buffer is not None and not torch.equal(buffer, values[id(buffer)]):
                    with torch.no_grad():
                        buffer.copy_(values[id(buffer)])
        _set_streams(streams)


@contextmanager
def eager(model: nn.Module) -> Iterator[None]:
    """Run modules compiled in place as if they were not."""
    if any(module._compiled_call_impl is not None for module in model.modules()):
        with torch.compiler.set_stance("force_eager"):
            yield
    else:
        yield


def seed(number: int) -> None:
    """Seed every random stream in use; devices never used stay untouched."""
    torch.default_generator.manual_seed(number)
    if _cuda():
        torch.cuda.manual_seed_all(number)
    np.random.seed(number)
    random.seed(number)


def _cuda() -> bool:
    """Whether CUDA is in use; asking for its streams would start it."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _streams() -> tuple[Any, ...]:
    cuda = torch.cuda.get_rng_state_all() if _cuda() else []
    return torch.get_rng_state(), cuda, np.random.get_state(), random.getstate()


def _set_streams(streams: tuple[Any, ...]) -> None:
    cpu, cuda, numpy, python = streams
    torch.set_rng_state(cpu)
    if cuda:
        torch.cuda.set_rng_state_all(cuda)
    np.random.set_state(numpy)
    random.setstate(python)


def _tables(module: nn.Module) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """A module's dictionaries of children and hooks, each with what it holds now."""
    found = (value for name, value in vars(module).items() if name in _TABLES)
    return [(table, dict(table)) for table in found if isinstance(table, dict)]


_TABLES = {name for name in vars(nn.Module()) if name == "_modules" or name.endswith("_hooks")}


def _restore(now: dict[str, Any], found: dict[str, Any]) -> None:
    """Give a dictionary back what it held, in that order, if a run changed any of it."""
    if list(now) != list(found) or any(now[key] is not found[key] for key in found):
        now.clear()
        now.update(found)


def copied(value: Any) -> Any:  # noqa: ANN401 - any nest
    """Return a nest with every tensor copied and cut from its graph."""
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad and value.is_leaf)
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(copied(item) for item in value)
    return value


def tensors(value: Any) -> list[Tensor]:  # noqa: ANN401 - any nest
    """Every floating-point tensor of a nest of containers, data classes and model outputs."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() or value.is_complex() else []
    if isinstance(value, Mapping):
        items = list(value.values())
    elif isinstance(value, (list, tuple)):
        items = list(value)
    else:
        items = list(vars(value).values()) if is_dataclass(value) else []
    return [tensor for item in items for tensor in tensors(item)]
