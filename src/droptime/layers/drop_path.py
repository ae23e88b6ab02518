"""Stochastic depth whose rate may change every step under torch.compile."""

from __future__ import annotations

import torch
from torch import Tensor

from droptime.errors import ConfigError
from droptime.layers.rate import TensorRate


class DropPath(TensorRate):
    """Zero a residual branch for some samples of the batch; scale the kept ones by 1/(1-p).

    In eager it draws the same masks, at the same cost, as timm's ``DropPath`` and torchvision's
    ``StochasticDepth``. Under ``torch.compile`` the rate is read from a tensor, so it may change
    every step without recompiling. Where the rate is 0 it is the identity.

    Args:
        p: drop probability, in [0, 1).
        scale_by_keep: divide kept samples by 1-p, so that the expectation is unchanged.
        mode: ``"row"`` draws one mask value for each sample, ``"batch"`` one for the batch.

    Input and output: ``[batch, ...]``. Source: Huang et al. 2016 (inverted form, as in timm).

    >>> branch = DropPath(0.5)
    >>> out = branch(torch.ones(1000, 2, 2))
    >>> sorted(set(out.flatten().tolist()))
    [0.0, 2.0]
    """

    def __init__(self, p: float = 0.0, *, scale_by_keep: bool = True, mode: str = "row") -> None:
        super().__init__()
        if mode not in ("row", "batch"):
            raise ConfigError(f"DropPath(mode={mode!r}): expected 'row' or 'batch'.")
        self.scale_by_keep = scale_by_keep
        self.mode = mode
        self.hold(p)

    @property
    def drop_prob(self) -> float:
        """Timm's name for :attr:`p`."""
        return self.p

    def forward(self, x: Tensor) -> Tensor:
        """Drop samples of ``x`` in training mode."""
        if not (self.training and self.dropping):
            return x
        rows = x.shape[0] if self.mode == "row" else 1
        shape = (rows, *(1,) * (x.ndim - 1))
        if torch.compiler.is_compiling():
            return self.drop(x, shape, self.scale_by_keep)
        keep = 1 - self._p
        mask = x.new_empty(shape).bernoulli_(keep)
        if self.scale_by_keep:
            mask.div_(keep)
        return x * mask

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"p={self.p:g}"
