"""A drop rate that can change every step without a new graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from droptime.errors import CurveError


class TensorRate(nn.Module):
    """Base of layers whose drop rate lives in a float32 tensor.

    ``torch.compile`` bakes a Python float into its graph and compiles again for each new value; a
    tensor it reads at run time. Eager code is faster with a float. So a layer keeps both, and one
    setter (:attr:`p`) writes both:

    * ``rate``: a 0-dim float32 tensor. Compiled code reads it. It stays float32 through ``half()``,
      ``bfloat16()`` and autocast, and is rebuilt from the float when the module moves, so that it
      survives ``to_empty`` from the meta device too. It is no buffer: an average of weights pairs
      the buffers of two models one by one, and DDP sends them to all ranks at every forward.
    * ``dropping``: whether the rate is above 0. Compiled code branches on it, so a schedule has one
      training graph while it drops and one while it does not.
    * ``stand_in``: what :attr:`p` reads as while a module that hands it to a dropout function is
      traced; see :mod:`droptime.layers.floats`. ``traced`` says that it is.
    """

    rate: Tensor
    dropping: bool
    _p: float
    stand_in: float | None
    traced: bool
    handed_on = True
    """Whether the code around it hands the rate to a dropout function."""
    site_attribute: str = "p"
    """Name of the rate in the module that became this layer."""

    def hold(self, p: float) -> None:
        """Give the layer its rate for the first time.

        Raises:
            CurveError: ``p`` is not in [0, 1).
        """
        self.stand_in, self.traced = None, False
        self.rate = _scalar(0.0)
        self.write(p)

    def let_go(self) -> None:
        """Remove what :meth:`hold` added, for a module about to become its old class again."""
        del self.rate, self.dropping, self._p, self.stand_in, self.traced
        self.__dict__.pop("site_attribute", None)

    @property
    def p(self) -> float:
        """The drop probability, in [0, 1). Setting it takes effect at the next forward."""
        if self.stand_in is not None and torch.compiler.is_compiling():
            if not (self.training and self.dropping):
                return 0.0
            if self.traced:
                return self.stand_in
        return self._p

    @p.setter
    def p(self, p: float) -> None:
        self.write(p)

    def write(self, p: float) -> None:
        """Set :attr:`p`, without the cost of an attribute of a module: a third of the time."""
        p = checked_rate(p)
        own = self.__dict__
        if "rate" in own:
            own["_p"], own["dropping"] = p, p > 0
            own["rate"].fill_(p)
        else:  # nn.Dropout.__init__ sets p before there is a tensor
            self.hold(p)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move with the model, but never change dtype or value."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.rate = _scalar(self._p, fn(self.rate).device)
        return self

    def drop(self, x: Tensor, shape: tuple[int, ...] | None = None, scale: bool = True) -> Tensor:
        """Drop entries of ``x``, reading only tensors: the traced graph is right for every rate.

        Args:
            x: any shape.
            shape: shape of the mask, broadcast over ``x``; by default that of ``x``.
            scale: divide what is kept by 1-p.
        """
        keep = 1 - self.rate
        mask = torch.where(self.kept(x, shape), 1 / keep if scale else 1.0, 0.0)
        return (x * mask).to(x.dtype)

    def kept(self, x: Tensor, shape: tuple[int, ...] | None = None) -> Tensor:
        """Draw which entries of ``x`` are kept: a boolean mask of ``shape``, as in :meth:`drop`."""
        random = torch.rand(shape or x.shape, dtype=torch.float32, device=x.device)
        return random < 1 - self.rate


def _scalar(value: float, device: torch.device | None = None) -> Tensor:
    """A tensor that CUDA graphs read where it lies, as ``torch._dynamo.mark_static_address`` says.

    That function is not called, since it takes more than a second to import.
    """
    scalar = torch.full((), value, dtype=torch.float32, device=device)
    scalar._dynamo_static_input_type = "unguarded"  # type: ignore[attr-defined]
    return scalar


def checked_rate(p: object) -> float:
    """Return ``p`` as a float if it is a drop probability in [0, 1).

    Raises:
        CurveError: it is not.
    """
    try:
        value = float(p)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value < 1:
        raise CurveError(f"rate {p!r}: a drop rate is a probability in [0, 1).")
    return value
