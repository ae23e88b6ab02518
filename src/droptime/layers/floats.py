"""Modules that pass a Python float to a dropout function, made to read a tensor when compiled.

Attention modules hand ``dropout_p=self.dropout`` to a fused kernel; dense layers call
``F.dropout(x, p=self.drop_rate)``. In eager the float is read at every call, so setting it is
enough. Under ``torch.compile`` it is a constant of the graph. So the module is given a subclass of
its own class, whose forward, while being traced, stands between the module's code and torch: a
dropout call that carries the module's stand-in float reads the tensor instead (:mod:`.calls`). A
module that draws its masks by itself is traced by a forward of ours (:mod:`.forwards`). Eager code,
eval mode and rate 0 run the module's own forward, fused kernels included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import nn

from droptime.layers.calls import TensorRates
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
        calls = TensorRates(rates)
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
