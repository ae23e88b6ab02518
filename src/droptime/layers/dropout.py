"""Element dropout whose rate may change every step under torch.compile."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from droptime.layers.narrow import is_plain, narrow_dropout, resolves
from droptime.layers.rate import TensorRate, checked_rate


class Dropout(TensorRate, nn.Dropout):
    """``nn.Dropout`` whose rate may change every step without recompiling.

    In eager it calls ``F.dropout``: the same masks, at the same cost, as ``nn.Dropout``. Large
    inputs on a CPU follow the same law by a faster way, with other masks from the same generator
    and a rate within 2^-17: :func:`~droptime.layers.narrow_dropout`. Under ``torch.compile`` it
    computes ``x * mask / (1 - p)`` with ``p`` read from a tensor. Where the rate is 0 it is the
    identity and draws no random numbers.

    Input and output: any shape. Source: Srivastava et al. 2014 (inverted form).

    >>> drop = Dropout(0.5)
    >>> drop.p = 0.25
    >>> round(drop.rate.item(), 2)
    0.25
    """

    narrow_from: ClassVar[float] = 2**14
    """Elements from which the faster way is taken: there it wins, and at half as many it does not.
    ``Dropout.narrow_from = math.inf`` keeps the masks of ``nn.Dropout`` everywhere in eager."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__(checked_rate(p), inplace)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        """Drop elements of ``input`` in training mode."""
        if not (self.training and self.dropping):
            return input
        if torch.compiler.is_compiling():
            dropped = self.drop(input)
        elif input.numel() >= self.narrow_from and is_plain(input) and resolves(self._p):
            dropped = narrow_dropout(input, self._p)
        else:
            return F.dropout(input, self._p, True, self.inplace)
        return input.copy_(dropped) if self.inplace else dropped
