"""Training losses since the last row, kept on the device until somebody reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from droptime.errors import DivergedError


class LossWindow:
    """The losses of the latest steps, in order; reading them is the only wait for the device."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []

    def add(self, loss: Tensor) -> None:
        """Keep the loss of one step, a 0-dim tensor, without reading it."""
        self._losses.append(loss)

    def drain(self, *, last_step: int) -> float:
        """Return the mean of the kept losses and begin a new window.

        Raises:
            DivergedError: as :meth:`check`.
        """
        losses = self.check(last_step=last_step)
        self._losses = []
        return math.fsum(losses) / len(losses)

    def check(self, *, last_step: int) -> list[float]:
        """Return the kept losses.

        Args:
            last_step: the step of the newest loss.

        Raises:
            DivergedError: one is not finite; the message names the first such step.
        """
        losses: list[float] = torch.stack(self._losses).tolist() if self._losses else []
        for step, loss in enumerate(losses, start=last_step - len(losses) + 1):
            if not math.isfinite(loss):
                raise DivergedError(f"The training loss is {loss} at step {step}.")
        return losses

    def tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint needs."""
        return {"losses": torch.stack(self._losses)} if self._losses else {}

    def load(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Go back to where :meth:`tensors` was taken."""
        kept = tensors.get("losses")
        self._losses = [] if kept is None else list(kept.to(device).unbind())
