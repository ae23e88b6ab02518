"""Training losses since the last row, kept on the device until somebody reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from droptime.errors import DivergedError


class LossWindow:
    """The losses of the latest steps, in order; reading them is the only wait for the device.

    Args:
        mean: over the processes that train together, of a tensor on the device.
    """

    def __init__(self, mean: Callable[[Tensor], Tensor] = lambda losses: losses) -> None:
        self._mean = mean
        self._read: list[float] = []
        self._waiting: list[Tensor] = []

    def add(self, loss: Tensor) -> None:
        """Keep the loss of one step, a 0-dim tensor, without reading it."""
        self._waiting.append(loss)

    def drain(self, *, last_step: int) -> float:
        """Return the mean of the kept losses and begin a new window.

        Raises:
            DivergedError: as :meth:`check`.
        """
        losses = self.check(last_step=last_step)
        self._read = []
        return math.fsum(losses) / len(losses)

    def check(self, *, last_step: int) -> list[float]:
        """Return the kept losses.

        Args:
            last_step: the step of the newest loss.

        Raises:
            DivergedError: one is not finite; the message names the first such step.
        """
        if self._waiting:
            self._read += self._mean(torch.stack(self._waiting)).tolist()
            self._waiting = []
        for step, loss in enumerate(self._read, start=last_step - len(self._read) + 1):
            if not math.isfinite(loss):
                raise DivergedError(f"The training loss is {loss} at step {step}.")
        return self._read

    def values(self) -> list[float]:
        """Return what a checkpoint needs: the losses that :meth:`check` has read."""
        return list(self._read)

    def load(self, values: Sequence[float]) -> None:
        """Go back to where :meth:`values` was taken."""
        self._read, self._waiting = list(values), []
