"""A module's forward as a graph in which each of its children is one opaque step."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn


def trace(block: nn.Module) -> fx.Graph:
    """The steps of a block's forward in training mode; arguments with defaults left at them."""
    defaults: dict[str, Any] = {
        name: parameter.default
        for name, parameter in inspect.signature(block.forward).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    found, buffers = dict(vars(block)), dict(block._buffers)
    with torch.random.fork_rng(devices=[]):
        block.training = True
        try:
            return _Steps().trace(block, concrete_args=defaults)
        finally:  # a forward may set attributes, which would now be symbols
            vars(block).clear()
            vars(block).update(found)
            block._buffers.clear()
            block._buffers.update(buffers)


class _Steps(fx.Tracer):
    """A tracer to which every child is one step."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Every module is."""
        return True

    def create_args_for_root(
        self,
        root_fn: Callable[..., Any],
        is_module: bool,
        concrete_args: dict[str, Any] | tuple[Any, ...] | None = None,
    ) -> tuple[Callable[..., Any], list[Any]]:
        """Symbols for the arguments, but no further ones for ``*args`` and ``**kwargs``."""
        own = inspect.unwrap(root_fn)
        function, values = super().create_args_for_root(own, is_module, concrete_args)
        flags = own.__code__.co_flags
        rest: list[Any] = [()] * bool(flags & inspect.CO_VARARGS)
        rest += [{}] * bool(flags & inspect.CO_VARKEYWORDS)
        return function, [*values[: len(values) - len(rest)], *rest]
