"""Compile a module and count the graphs that were made for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch._dynamo.backends.registry import lookup_backend


class Compiled:
    """A compiled callable that knows how many graphs its backend was given."""

    def __init__(
        self, target: nn.Module | Callable[..., Any], *, backend: str, fullgraph: bool
    ) -> None:
        self.graphs = 0
        inner = lookup_backend(backend)

        def counting(module: Any, inputs: Any) -> Any:
            self.graphs += 1
            return inner(module, inputs)

        self.call = torch.compile(target, backend=counting, fullgraph=fullgraph)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)
