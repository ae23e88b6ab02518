"""A step whose loss or gradient is not finite leaves no trace, where the run asks for that."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class NonFiniteGuard:
    """Says whether a step may be made, and takes back what its forward passes left behind.

    A forward pass writes to buffers (the running statistics of batch norm); they are kept from
    before the step. The verdict is one read from the device in each step.

    Args:
        model: what is trained.
        gradients: look at the gradients too; a loss scaler does so itself.
    """

    def __init__(self, model: nn.Module, *, gradients: bool = True) -> None:
        self._parameters = list(model.parameters()) if gradients else []
        self._buffers = list(model.buffers())
        self._kept = [buffer.clone() for buffer in self._buffers]

    def begin(self) -> None:
        """Keep the buffers as they are before the step."""
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            kept.copy_(buffer)

    def passes(self, loss: Tensor) -> bool:
        """Return whether loss and gradients are finite; if not, put the buffers back."""
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        good = bool(all_finite([loss, *gradients]))
        if not good:
            for kept, buffer in zip(self._kept, self._buffers, strict=True):
                buffer.copy_(kept)
        return good


def all_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Return whether every number is finite, as a 0-dim tensor: nothing is read."""
    return torch.stack(torch._foreach_norm(list[Tensor](tensors))).isfinite().all()
