"""Element dropout from narrow random integers: on a CPU, a fraction of the cost of ``F.dropout``.

On a CPU most of the time of ``F.dropout`` goes into one random float for each element. To decide
whether an element stays takes far fewer bits: here a 64-bit word of torch's generator serves four.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LEVELS = 2**16
"""Values of a 16-bit integer: the rate put into practice is a multiple of ``1 / LEVELS``."""


def narrow_dropout(x: Tensor, p: float) -> Tensor:
    """Drop elements of ``x`` with probability ``p``, to a resolution of 2^-16.

    An element is dropped if its 16-bit integer is one of the ``k = round(p * 2^16)`` lowest. So the
    realised rate ``k / 2^16`` is within 2^-17 of ``p``; what is kept is multiplied by
    ``2^16 / (2^16 - k)``, which makes the expectation of the output exactly ``x``. The integers
    come from 64-bit words of torch's CPU generator, in one thread, and are used in the order in
    which ``x`` lies in memory: its state decides the mask.

    Args:
        x: a tensor that :func:`is_plain`, any shape and memory layout; the output has the same.
        p: drop probability that 16 bits can tell, see :func:`resolves`.

    Cost: one random word for four elements; a mask of one byte an element is kept for backward,
    where ``F.dropout`` keeps one of the width of ``x``. Derivatives of every order, in forward and
    reverse mode.

    >>> _ = torch.manual_seed(0)
    >>> narrow_dropout(torch.ones(6), 0.5)
    tensor([0., 0., 2., 0., 0., 0.])
    """
    dropped = round(p * LEVELS)
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    integers = words.view(torch.int16)[: x.numel()]
    kept = torch.empty_like(x, dtype=torch.uint8)
    kept.as_strided(integers.shape, (1,)).copy_(integers.ge_(dropped - LEVELS // 2))
    return _masked(x, kept, LEVELS / (LEVELS - dropped))


def resolves(p: float) -> bool:
    """Whether 16 bits give both ``p`` and ``1 - p`` to within 1 %: 2^-10 <= p <= 1 - 2^-10."""
    return 2**-10 <= p <= 1 - 2**-10


def is_plain(x: Tensor) -> bool:
    """Whether ``x`` is a CPU tensor of floats, of no subclass and outside ``torch.func``."""
    return (
        type(x) is Tensor
        and x.is_cpu
        and x.is_floating_point()
        and not torch._C._are_functorch_transforms_active()
    )


def _masked(x: Tensor, mask: Tensor, scale: float) -> Tensor:
    output: Tensor = _Masked.apply(x, mask, scale)
    return output


class _Masked(torch.autograd.Function):
    """``x * mask * scale``, linear in ``x``: each derivative is the same product again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, scale: float) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(mask)
        ctx.save_for_forward(mask)
        ctx.scale = scale
        return mask.to(x.dtype).mul_(x).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        (mask,) = ctx.saved_tensors
        return _masked(gradient, mask, ctx.scale), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:  # noqa: ANN401
        (mask,) = ctx.saved_tensors
        return _masked(tangent, mask, ctx.scale)
