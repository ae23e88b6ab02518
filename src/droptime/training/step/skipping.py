"""A step whose loss or gradient is not finite leaves no trace, where the run asks for that."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from droptime.training.processes.spread import all_finite


class NonFiniteGuard:
    """Says whether a step may be made, and takes back what its forward passes left behind.

    A forward pass writes to buffers (the running statistics of batch norm); they are kept from
    before the step. The verdict is one read from the device in each step.

    Args:
        model: what is trained.
        gradients: look at the gradients too; a loss scaler does so itself.
        agree: returns whether all processes find the same, so that all skip a step or none.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        gradients: bool = True,
        agree: Callable[[Tensor], bool] = bool,
    ) -> None:
        self._agree = agree
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
        good = self._agree(all_finite([loss, *gradients]))
        if not good:
            for kept, buffer in zip(self._kept, self._buffers, strict=True):
                buffer.copy_(kept)
        return good
