"""torch's dropout calls, computed from a rate in a tensor.

A dropout function takes its rate as a float. :class:`TensorRates` is entered while a module is
traced: a call whose float is the stand-in of a rate is replaced by one that reads the tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

from droptime.errors import SiteError
from droptime.layers.attention import multi_head_attention_forward, scaled_dot_product_attention
from droptime.layers.rate import TensorRate


class TensorRates(TorchFunctionMode):
    """Compute dropout calls whose float is a stand-in from the tensor it stands for."""

    def __init__(self, rates: Iterable[TensorRate]) -> None:
        super().__init__()
        self.rates = {rate.stand_in: rate for rate in rates}
        self.seen: set[float] = set()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401 - torch's own
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever func returns
        kwargs = kwargs or {}
        if func in _REWRITTEN:
            position, name, rewritten = _REWRITTEN[func]
            p = args[position] if len(args) > position else kwargs.get(name)
            if isinstance(p, float) and p in self.rates:
                self.seen.add(p)
                rate = self.rates[p]
                return rewritten(rate, *args, **kwargs)
        return func(*args, **kwargs)

    def check_all_seen(self) -> None:
        """Refuse a module that did something else with its float than call dropout with it."""
        if len(self.seen) < len(self.rates):
            raise SiteError(
                "A rate of this module does not reach a dropout call of torch, so it cannot be "
                "read from a tensor under torch.compile: run the module in eager."
            )


def _dropout(
    rate: TensorRate,
    input: Tensor,  # noqa: A002 - torch's name
    p: float,
    training: bool = True,
    inplace: bool = False,
) -> Tensor:
    return _written(input, rate.drop(input) if training else input, inplace)


def _channel_dropout(batched: int) -> Callable[..., Tensor]:
    """Dropout of whole channels; an input of fewer than ``batched`` dimensions has no batch."""

    def dropout(
        rate: TensorRate,
        input: Tensor,  # noqa: A002 - torch's name
        p: float,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        shape = _channels(input, 2 if input.ndim >= batched else 1)
        return _written(input, rate.drop(input, shape) if training else input, inplace)

    return dropout


def _alpha_dropout(
    rate: TensorRate,
    input: Tensor,  # noqa: A002 - torch's name
    p: float,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    return _written(input, _alpha(rate, input, input.shape) if training else input, inplace)


def _feature_alpha_dropout(
    rate: TensorRate,
    input: Tensor,  # noqa: A002 - torch's name
    p: float,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    dropped = _alpha(rate, input, _channels(input, 2)) if training else input
    return _written(input, dropped, inplace)


_SATURATION = -1.7580993408473766
"""Where SELU ends for very negative inputs."""


def _alpha(rate: TensorRate, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Put dropped entries at SELU's saturation, then restore mean 0 and variance 1.

    Source: Klambauer et al. 2017.
    """
    p = rate.rate
    spread = ((1 - p) * (1 + _SATURATION**2 * p)).rsqrt()
    centred = torch.where(rate.kept(x, shape), x, _SATURATION) - _SATURATION * p
    return (centred * spread).to(x.dtype)


def _channels(x: Tensor, leading: int) -> tuple[int, ...]:
    """The shape of a mask with one value for each channel."""
    return (*x.shape[:leading], *(1,) * (x.ndim - leading))


def _written(x: Tensor, dropped: Tensor, inplace: bool) -> Tensor:
    return x.copy_(dropped) if inplace else dropped


def _attention(rate: TensorRate, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401
    return scaled_dot_product_attention(rate.drop, *args, **kwargs)


def _multi_head_attention(rate: TensorRate, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
    return multi_head_attention_forward(rate.drop, *args, **kwargs)


_REWRITTEN: dict[Callable[..., Any], tuple[int, str, Callable[..., Any]]] = {
    F.dropout: (1, "p", _dropout),
    F.dropout1d: (1, "p", _channel_dropout(batched=3)),
    F.dropout2d: (1, "p", _channel_dropout(batched=0)),  # torch takes [a, b, c] for a batch
    F.dropout3d: (1, "p", _channel_dropout(batched=5)),
    F.alpha_dropout: (1, "p", _alpha_dropout),
    F.feature_alpha_dropout: (1, "p", _feature_alpha_dropout),
    F.scaled_dot_product_attention: (4, "dropout_p", _attention),
    F.multi_head_attention_forward: (10, "dropout_p", _multi_head_attention),
}
"""torch's function -> where its float is (position, name), and the function that reads a tensor."""
