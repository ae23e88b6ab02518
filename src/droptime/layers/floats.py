"""Modules that pass a Python float to a dropout function, made to read a tensor when compiled.

Attention modules hand ``dropout_p=self.dropout`` to a fused kernel; dense layers call
``F.dropout(x, p=self.drop_rate)``. In eager the float is read at every call, so setting it is
enough. Under ``torch.compile`` it is a constant of the graph. So the module is given a subclass of
its own class, whose forward, while being traced, stands between the module's code and torch: a
dropout call that carries the module's stand-in float is computed from the rate tensor instead. A
module that draws its masks by itself is traced by a forward of ours (:mod:`.forwards`). Eager code,
eval mode and rate 0 run the module's own forward, fused kernels included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

from droptime.errors import SiteError
from droptime.layers.attention import multi_head_attention_forward, scaled_dot_product_attention
from droptime.layers.rate import TensorRate

TracedForward: TypeAlias = Callable[..., Any]
"""``(module, rate, *args, **kwargs) -> output``"""


class HeldRate(TensorRate):
    """The rate of a float attribute, as a child of the module that has the attribute.

    Attributes:
        traced_forward: the forward to trace in place of the module's own; None: the module's own.
    """

    traced_forward: TracedForward | None = None

    def __init__(self, p: float) -> None:
        super().__init__()
        self.hold(p)

    @property
    def value(self) -> float:
        """What the module that has the attribute reads."""
        return float(self.p)


def hold_float(
    module: nn.Module,
    attribute: str,
    traced_forward: TracedForward | None = None,
    *,
    rate_class: type[HeldRate] = HeldRate,
) -> HeldRate:
    """Put the float ``module.attribute`` into a tensor; return the rate that now rules it.

    Args:
        module: the module.
        attribute: the name of its float; None counts as 0.
        traced_forward: for a module that calls no dropout function of torch: its forward with the
            rate read from a tensor, traced in place of its own. It is given the module, the rate
            and what the module was called with.
        rate_class: what holds it.
    """
    held = module._modules.get(_child(attribute))
    if isinstance(held, HeldRate):  # a copy of a driven module: its float is held already
        return held
    rate = rate_class(getattr(module, attribute) or 0.0)
    rate.traced_forward = traced_forward
    del module.__dict__[attribute]
    module.add_module(_child(attribute), rate)
    capture(module, rate, attribute)
    return rate


def held_floats(module: nn.Module) -> tuple[str, ...]:
    """Names of the floats of ``module`` that are held in a tensor."""
    return module._attributes if isinstance(module, _Capturing) else ()


def release_float(module: nn.Module, attribute: str, value: float) -> None:
    """Undo :func:`hold_float`: ``module.attribute`` is the plain float ``value`` again."""
    rate = module._modules.pop(_child(attribute))
    assert isinstance(rate, TensorRate)
    release(module, rate)
    setattr(module, attribute, value)


def capture(module: nn.Module, rate: TensorRate, attribute: str = "") -> None:
    """While ``module`` is traced, let the dropout calls that carry ``rate.p`` read its tensor.

    Args:
        module: the module whose forward makes the calls.
        rate: the rate they carry.
        attribute: name of the float of ``module`` that ``rate`` replaces, if it does.
    """
    captured = list(_captured(module))
    taken = {held.stand_in for held, _ in captured}
    rate.stand_in = next(p for p in _STAND_INS if p not in taken)
    _set_captured(module, [*captured, (rate, attribute)])


def release(module: nn.Module, rate: TensorRate) -> None:
    """Undo :func:`capture`."""
    rate.stand_in = None
    _set_captured(module, [pair for pair in _captured(module) if pair[0] is not rate])


_STAND_INS = [n / 7919 for n in range(1, 100)]
"""Floats that no model is built with: while tracing, they say which rate a call carries."""


def _child(attribute: str) -> str:
    return f"{attribute}_held"


_Captured: TypeAlias = "list[tuple[TensorRate, str]]"


def _captured(module: nn.Module) -> _Captured:
    return module._rates if isinstance(module, _Capturing) else []


def _set_captured(module: nn.Module, captured: _Captured) -> None:
    """Give the module the class that its captured rates need: its own again if there are none."""
    original = _own_class(type(module))
    attributes = tuple(sorted(attribute for _, attribute in captured if attribute))
    module.__class__ = _capturing_class(original, attributes) if captured else original
    module.__dict__["_rates"] = captured
    if not captured:
        del module.__dict__["_rates"]


def _own_class(cls: type[nn.Module]) -> type[nn.Module]:
    """The class a module had, or would have, without :func:`capture`.

    A wrapper that came later and also works by subclass, as FSDP's ``fully_shard``, is kept.
    """
    if not issubclass(cls, _Capturing):
        return cls
    if "_original" in vars(cls):
        return cls._original
    bases = tuple(_own_class(base) for base in cls.__bases__)
    members = {name: value for name, value in vars(cls).items() if name != "__dict__"}
    return type(cls.__name__, bases, members)


class _Capturing(nn.Module):
    """First base of the subclasses that :func:`capture` gives to modules."""

    _original: type[nn.Module]
    _attributes: tuple[str, ...]
    _rates: _Captured

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the module's own
        rates = [rate for rate, _ in self._rates if rate.dropping and rate.handed_on]
        if not (rates and self.training and torch.compiler.is_compiling()):
            return super().forward(*args, **kwargs)
        for rate in rates:
            if isinstance(rate, HeldRate) and rate.traced_forward is not None:
                return rate.traced_forward(self, rate, *args, **kwargs)
        calls = _TensorRates(rates)
        with calls:
            for rate in rates:
                rate.traced = True
            output = super().forward(*args, **kwargs)
            for rate in rates:
                rate.traced = False
        calls.check_all_seen()
        return output

    def __reduce_ex__(self, protocol: Any) -> Any:  # noqa: ANN401 - pickle's own
        return _blank, (self._original, self._attributes), self.__dict__


def _blank(original: type[nn.Module], attributes: tuple[str, ...]) -> nn.Module:
    cls = _capturing_class(original, attributes)
    return cls.__new__(cls)


_CLASSES: dict[tuple[type[nn.Module], tuple[str, ...]], type[nn.Module]] = {}


def _capturing_class(original: type[nn.Module], attributes: tuple[str, ...]) -> type[nn.Module]:
    """The subclass of ``original`` whose ``attributes`` are ruled by held rates; made once."""
    key = original, attributes
    if key not in _CLASSES:
        copied = ("__module__", "__qualname__", "__doc__")
        members: dict[str, Any] = {name: getattr(original, name) for name in copied}
        members |= {name: _rate_property(name) for name in attributes}
        members |= {"_original": original, "_attributes": attributes}
        _CLASSES[key] = type(original.__name__, (_Capturing, original), members)
    return _CLASSES[key]


def _rate_property(attribute: str) -> property:
    child = _child(attribute)

    def get(module: nn.Module) -> float:
        rate: Any = module._modules[child]
        return rate.value  # type: ignore[no-any-return]

    def put(module: nn.Module, p: float) -> None:
        rate: Any = module._modules[child]
        rate.p = p

    return property(get, put)


class _TensorRates(TorchFunctionMode):
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
