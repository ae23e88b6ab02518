"""The gradients of a DDP process as they are before they are averaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


class ReductionHook:
    """Copies of a process's gradients, taken as DDP is about to average them."""

    def __init__(self, ddp: nn.Module, bare: nn.Module) -> None:
        from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

        self._names = {id(p): name for name, p in bare.named_parameters()}
        self._reduce, self._listening = allreduce_hook, False
        self._gradients: dict[str, Tensor | None] = {}
        wrapper: Any = ddp
        wrapper.register_comm_hook(  # a lambda, for DDP reads a hook's annotations as objects
            wrapper.process_group, lambda group, bucket: self._hook(group, bucket)
        )

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Copy the gradients of a backward inside."""
        self._gradients = dict.fromkeys(self._names.values())
        self._listening = True
        try:
            yield
        finally:
            self._listening = False

    def taken(self) -> dict[str, Tensor | None]:
        """The gradients of the last backward listened to, now no longer kept here."""
        found, self._gradients = self._gradients, {}
        return found

    def _hook(self, group: Any, bucket: Any) -> torch.futures.Future[Tensor]:  # noqa: ANN401
        if self._listening:
            pairs = zip(bucket.parameters(), bucket.gradients(), strict=True)
            self._gradients |= {self._names[id(p)]: g.detach().clone() for p, g in pairs}
        return self._reduce(group, bucket)


def is_ddp(model: nn.Module) -> bool:
    """Whether DDP wraps the model, compiled or not."""
    inner = getattr(model, "_orig_mod", model)
    return isinstance(inner, DistributedDataParallel)
