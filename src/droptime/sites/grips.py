"""Grips: take hold of a rate, write it, and give the module back as it was.

Every grip changes the module in place, never its parent, so parameters, hooks, references and
``state_dict`` keys stay as they are. Where there is no module, :class:`Slot` adds one.
"""

from __future__ import annotations

from typing import Protocol, TypeGuard, runtime_checkable

from torch import nn

from droptime.layers import (
    Dropout,
    DropPath,
    TensorRate,
    TracedForward,
    capture,
    hold_config,
    hold_float,
    release,
    release_config,
    release_float,
)


class Grip(Protocol):
    """The means of writing one rate."""

    def write(self, rate: float) -> None:
        """Set the drop probability; in force from the next forward."""

    def release(self) -> None:
        """Give the module back as it was found."""


@runtime_checkable
class Stepped(Protocol):
    """A grip that must know the step: its draws are a function of it."""

    def at(self, step: int) -> None:
        """Begin a step. Every rank calls it."""


class PlainFloat:
    """Set the attribute. Read at every forward in eager; torch.compile bakes each value."""

    def __init__(self, module: nn.Module, attribute: str) -> None:
        self.module, self.attribute = module, attribute
        self.found: float = getattr(module, attribute)

    def write(self, rate: float) -> None:
        """Set the drop probability."""
        setattr(self.module, self.attribute, rate)

    def release(self) -> None:
        """Set the value found."""
        setattr(self.module, self.attribute, self.found)


class DictFloat:
    """Set an entry of a dictionary of floats that the module keeps: ``module.name[key]``."""

    def __init__(self, module: nn.Module, name: str, key: str) -> None:
        self.entries: dict[str, float] = getattr(module, name)
        self.key, self.found = key, self.entries[key]

    def write(self, rate: float) -> None:
        """Set the drop probability."""
        self.entries[self.key] = rate

    def release(self) -> None:
        """Set the value found."""
        self.entries[self.key] = self.found


class TensorFloat:
    """Keep the attribute's value in a tensor too, for the module's dropout calls when compiled.

    ``traced_forward`` is for modules that draw their masks themselves, see :func:`hold_float`.
    """

    def __init__(
        self, module: nn.Module, attribute: str, traced_forward: TracedForward | None = None
    ) -> None:
        self.module, self.attribute = module, attribute
        self.found: float = getattr(module, attribute)
        self.rate = hold_float(module, attribute, traced_forward)

    def write(self, rate: float) -> None:
        """Set the drop probability."""
        self.rate.write(rate)

    def release(self) -> None:
        """Make the attribute a plain float again, with the value found."""
        release_float(self.module, self.attribute, self.found)


class ConfigFloat:
    """Give the module a view of its config with the rate in a tensor; the config itself stays."""

    def __init__(self, module: nn.Module, attribute: str) -> None:
        self.module, self.attribute = module, attribute
        self.rate = hold_config(module, attribute)

    def write(self, rate: float) -> None:
        """Set the drop probability."""
        self.rate.p = rate

    def release(self) -> None:
        """Give the module the config itself again."""
        release_config(self.module, self.attribute)


class Layer:
    """Let the module become one of our layers: same object, other class."""

    def __init__(
        self, module: nn.Module, layer: type[TensorRate], fields: dict[str, object]
    ) -> None:
        self.module, self.found_class = module, type(module)
        self.found = {name: module.__dict__.pop(name) for name in fields if name in module.__dict__}
        self.added = [name for name in fields if name not in self.found]
        module.__class__ = layer
        assert isinstance(module, layer)
        self.layer: TensorRate = module
        self.layer.hold(0.0)
        for name, value in fields.items():
            if name not in _RATES:
                setattr(module, name, value)
            elif name != TensorRate.site_attribute:
                self.layer.site_attribute = name

    def write(self, rate: float) -> None:
        """Set the drop probability."""
        self.layer.write(rate)

    def release(self) -> None:
        """Give the module its own class and attributes back."""
        self.layer.let_go()
        self.module.__class__ = self.found_class
        for name in self.added:
            self.module.__dict__.pop(name, None)
        self.module.__dict__.update(self.found)


_RATES = ("p", "drop_prob")


def dropout_layer(module: nn.Module, attribute: str) -> Grip:
    """Turn an ``nn.Dropout``, or a placeholder of one, into our :class:`Dropout`, if it is not."""
    if isinstance(module, Dropout):
        return PlainFloat(module, "p")
    return Layer(module, Dropout, {"p": 0.0, "inplace": getattr(module, "inplace", False)})


def drop_path_layer(module: nn.Module, attribute: str) -> Grip:
    """Turn a stochastic-depth module, or a placeholder of one, into our :class:`DropPath`."""
    fields = {
        attribute: 0.0,
        "scale_by_keep": getattr(module, "scale_by_keep", True),
        "mode": getattr(module, "mode", "row"),
    }
    return Layer(module, DropPath, fields)


class FusedDropout:
    """A dropout module whose ``p`` its parent hands to a fused attention kernel."""

    def __init__(self, module: nn.Module, parent: nn.Module) -> None:
        self.parent = parent
        self.own = dropout_layer(module, "p")
        assert isinstance(module, TensorRate)
        self.captured = module if module.stand_in is None else None  # a copy's is captured already
        if self.captured:
            capture(parent, self.captured)

    def write(self, rate: float) -> None:
        """Set the drop probability."""
        self.own.write(rate)

    def release(self) -> None:
        """Give the parent and the module back as they were."""
        if self.captured:
            release(self.parent, self.captured)
        self.own.release()


class Slot:
    """Fill an attribute that is None where a layer would be."""

    def __init__(self, module: nn.Module, attribute: str, layer: TensorRate) -> None:
        self.module, self.attribute, self.layer = module, attribute, layer
        self.holder = vars(module) if attribute in vars(module) else module._modules
        setattr(module, attribute, layer.train(module.training))

    def write(self, rate: float) -> None:
        """Set the drop probability."""
        self.layer.p = rate

    def release(self) -> None:
        """Make the attribute None again."""
        if self.holder is not self.module._modules:
            del self.module._modules[self.attribute]
        self.holder[self.attribute] = None


def is_dropout(module: nn.Module) -> TypeGuard[nn.Dropout]:
    """Whether a module is an ``nn.Dropout`` or has become ours."""
    return type(module) is nn.Dropout or isinstance(module, Dropout)
