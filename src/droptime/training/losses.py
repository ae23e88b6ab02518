"""Training losses since the last row, kept on the device until somebody reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from droptime.errors import DivergedError


class LossWindow:
    """The losses of the latest steps, in order; reading them is the only wait for the device.

    A loss that is not finite is an error, or a step that was skipped if the run can spare it.
    """

    def __init__(self) -> None:
        self._losses: list[Tensor] = []

    def add(self, loss: Tensor) -> None:
        """Keep the loss of one step, a 0-dim tensor, without reading it."""
        self._losses.append(loss)

    def drain(self, *, last_step: int, spare: int = 0) -> tuple[float, tuple[int, ...]]:
        """Return the mean of the finite losses and the skipped steps, and begin a new window.

        Raises:
            DivergedError: as :meth:`check`.
        """
        losses = self.check(last_step=last_step, spare=spare)
        self._losses = []
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
        losses: list[float] = torch.stack(self._losses).tolist() if self._losses else []
        by_step = dict(enumerate(losses, start=last_step - len(losses) + 1))
        wrong = [step for step, loss in by_step.items() if not math.isfinite(loss)]
        if len(wrong) > spare:
            step = wrong[spare]
            error = DivergedError(f"The training loss is {by_step[step]} at step {step}.")
            error.step = step
            raise error
        return by_step

    def tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint needs."""
        return {"losses": torch.stack(self._losses)} if self._losses else {}

    def load(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Go back to where :meth:`tensors` was taken."""
        kept = tensors.get("losses")
        self._losses = [] if kept is None else list(kept.to(device).unbind())
