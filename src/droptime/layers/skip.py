"""Stochastic depth that does not compute what it drops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from droptime.errors import SiteError
from droptime.layers.drop_path import DropPath


@dataclass
class Kept:
    """The samples of one batch that a branch runs on.

    Attributes:
        rows: their places in the batch, ``[kept]``; None: all of them.
        batch: how many samples the batch has.
        scale: what the branch's output is multiplied by. It is 0 when every sample is dropped: the
            branch then runs on one of them, so that its parameters still get their gradient, 0.
    """

    rows: Tensor | None
    batch: int
    scale: float

    def gather(self, x: Tensor) -> Tensor:
        """``[batch, ...] -> [kept, ...]``."""
        return x if self.rows is None else _select(x, self.rows)

    def scatter(self, x: Tensor) -> Tensor:
        """``[kept, ...] -> [batch, ...]``, scaled, 0 where a sample was dropped.

        Raises:
            SiteError: ``x`` does not have one row for each kept sample.
        """
        expected = self.batch if self.rows is None else len(self.rows)
        if x.shape[0] != expected:
            raise SiteError(
                f"A branch was entered with {expected} of {self.batch} samples and left with "
                f"{x.shape[0]} rows: something in it depends on the whole batch (a mask or a "
                "position per sample?). Build the DropScheduler without skip=."
            )
        x = x * self.scale
        return x if self.rows is None else _spread(x, self.rows, self.batch)


class SkipPath(DropPath):
    """The end of a residual branch that runs only on the samples that keep it.

    :meth:`enter` is a forward pre-hook of the branch's first module: it draws the mask and hands on
    the kept rows. This layer, where the branch ends, puts them back. A call that was not entered
    (under ``torch.compile``, or in a branch without an entry) computes the masked form.

    Attributes:
        fixed: keep exactly ``round(batch * (1 - p))`` samples, at least 1, scaled by
            ``batch / kept``; else each sample by itself with probability ``1 - p``.
    """

    fixed: bool
    _kept: Kept | None

    def __init__(self, p: float = 0.0, *, scale_by_keep: bool = True, fixed: bool = False) -> None:
        super().__init__(p, scale_by_keep=scale_by_keep)
        self.become(fixed)

    def become(self, fixed: bool) -> None:
        """Give a :class:`DropPath` that has just taken this class what it lacks."""
        self.fixed, self._kept = fixed, None

    def become_drop_path(self) -> None:
        """Undo :meth:`become`, class included."""
        del self.fixed, self._kept
        self.__class__ = DropPath  # type: ignore[assignment]

    def enter(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Draw the mask and replace the branch's input by its kept rows (forward pre-hook)."""
        self._kept = None
        if not (self.training and self.dropping):
            return None
        if torch.compiler.is_compiling() and not self.fixed:
            return None  # a number of rows that changes would be a new graph each time
        x = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        self._kept = kept = self.choose(x)
        rows = kept.gather(x)
        return (
            tuple(rows if value is x else value for value in args),
            {name: rows if value is x else value for name, value in kwargs.items()},
        )

    def refuse_more(self, module: nn.Module, args: Any, output: Any) -> None:  # noqa: ANN401
        """Refuse a second tensor from a module inside the branch (forward hook)."""
        more = output[1:] if isinstance(output, (tuple, list)) else ()
        if self._kept is not None and any(isinstance(value, Tensor) for value in more):
            raise SiteError(
                f"{type(module).__name__} returns a second tensor (attention weights?), which "
                "would lack the samples that are skipped: do not ask the model for it while "
                "training, or build the DropScheduler without skip=."
            )

    def forward(self, x: Tensor) -> Tensor:
        """Put the kept rows of a branch that was entered back; else drop samples of ``x``."""
        kept, self._kept = self._kept, None
        if not (self.training and self.dropping):
            return x
        if kept is not None:
            return kept.scatter(x)
        if not self.fixed:
            return super().forward(x)
        kept = self.choose(x)
        return kept.scatter(kept.gather(x))

    def choose(self, x: Tensor) -> Kept:
        """Draw which samples of ``x`` are kept, from torch's generator.

        Independent masks are drawn on the CPU, so that their count is known without waiting for
        an accelerator; fixed ones on the device of ``x``.
        """
        batch = x.shape[0]
        if self.fixed:
            count = max(1, round(batch * (1 - self._p)))
            scale = batch / count if self.scale_by_keep else 1.0
            if count >= batch:
                return Kept(None, batch, 1.0)
            return Kept(torch.rand(batch, device=x.device).argsort()[:count], batch, scale)
        keep = 1 - self._p
        scale = 1 / keep if self.scale_by_keep else 1.0
        mask = torch.empty(batch, device="cpu", dtype=torch.float32).bernoulli_(keep)
        rows = mask.nonzero().squeeze(1)
        if len(rows) == batch:
            return Kept(None, batch, scale)
        if len(rows) == 0:
            rows, scale = rows.new_zeros(1), 0.0
        return Kept(rows.to(x.device, non_blocking=True), batch, scale)


def _select(x: Tensor, rows: Tensor) -> Tensor:
    if _channels_last(x):
        return x.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
    return x.index_select(0, rows)


def _spread(x: Tensor, rows: Tensor, batch: int) -> Tensor:
    if _channels_last(x):
        return _spread(x.permute(0, 2, 3, 1), rows, batch).permute(0, 3, 1, 2)
    return x.new_zeros((batch, *x.shape[1:])).index_copy(0, rows, x)


def _channels_last(x: Tensor) -> bool:
    """Whether the channels of ``[batch, channels, height, width]`` lie side by side in memory."""
    return (
        x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    )
