"""Training losses since the last row, kept on the device until somebody reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from droptime.errors import DivergedError


class LossWindow:
    """The losses of the latest steps, in order; reading them is the only wait for the device.

    A loss that is not finite is an error, or a step that was skipped if the run can spare it.

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

    def drain(self, *, last_step: int, spare: int = 0) -> tuple[float, tuple[int, ...]]:
        """Return the mean of the finite losses and the skipped steps, and begin a new window.

        Raises:
            DivergedError: as :meth:`check`.
        """
        losses = self.check(last_step=last_step, spare=spare)
        self._read = []
        finite = [loss for loss in losses.values() if math.isfinite(loss)]
        skipped = tuple(step for step, loss in losses.items() if not math.isfinite(loss))
        return math.fsum(finite) / len(finite) if finite else math.nan, skipped

    def check(self, *, last_step: int, spare: int = 0) -> dict[int, float]:
        """Return the kept losses by their step.

        Args:
            last_step: the step of the newest loss.
            spare: how many of them need not be finite.

        Raises:
            DivergedError: more are not; ``step`` is the first that is one too many.
        """
        if self._waiting:
            self._read += self._mean(torch.stack(self._waiting)).tolist()
            self._waiting = []
        by_step = dict(enumerate(self._read, start=last_step - len(self._read) + 1))
        wrong = [step for step, loss in by_step.items() if not math.isfinite(loss)]
        if len(wrong) > spare:
            step = wrong[spare]
            error = DivergedError(f"The training loss is {by_step[step]} at step {step}.")
            error.step = step
            raise error
        return by_step

    def values(self) -> list[float]:
        """Return what a checkpoint needs: the losses that :meth:`check` has read."""
        return list(self._read)

    def load(self, values: Sequence[float]) -> None:
        """Go back to where :meth:`values` was taken."""
        self._read, self._waiting = list(values), []
