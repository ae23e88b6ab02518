"""A config that modules share, as one of them sees it while its rates are driven.

Many modules may read one config object in forward, and saving the model writes it to disk. So it is
never written to. The module whose rate is driven gets a *view* of it: an object of a subclass that
shares the config's ``__dict__`` and has a property for the rate. Other modules, and every way of
saving the config, see the value it was built with.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from droptime.layers.floats import HeldRate, capture, release


def hold_config(
    module: nn.Module, attribute: str, *, rate_class: type[HeldRate] = HeldRate
) -> HeldRate:
    """Give ``module`` a view of its config in which a rate is held; return that rate.

    Args:
        module: the module that reads the config.
        attribute: where the rate is: ``"config.dropout"``.
        rate_class: what holds it.
    """
    owner, name = attribute.split(".")
    config = vars(module)[owner]
    shared, held = _parts(config)
    if name in held:  # a copy of a driven module: its rate is held already
        return held[name]
    rate = rate_class(getattr(config, name))
    module.add_module(_child(attribute), rate)
    module.__dict__[owner] = _view(shared, {**held, name: rate})
    capture(module, rate)
    return rate


def release_config(module: nn.Module, attribute: str) -> None:
    """Undo :func:`hold_config`: the module reads the config itself again."""
    owner, name = attribute.split(".")
    shared, held = _parts(vars(module)[owner])
    rate = held[name]
    del module._modules[_child(attribute)]
    release(module, rate)
    rest = {other: rate for other, rate in held.items() if other != name}
    module.__dict__[owner] = _view(shared, rest) if rest else shared


def _child(attribute: str) -> str:
    return f"{attribute.replace('.', '_')}_held"


def _parts(config: Any) -> tuple[Any, dict[str, HeldRate]]:  # noqa: ANN401 - any config
    """The shared config and the rates held in a view of it."""
    return (config._shared, config._held) if isinstance(config, _View) else (config, {})


class _View:
    """First base of the classes of views."""

    __slots__ = ()
    _original: type
    _shared: Any
    _held: dict[str, HeldRate]

    def __init_subclass__(cls) -> None:
        """Leave out what the config's own class does with its subclasses."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The config's own class: code that makes another of its kind gets a plain one."""
        return self._original

    def __reduce_ex__(self, protocol: Any) -> Any:  # noqa: ANN401 - pickle's own
        return _view, (self._shared, self._held)


def _view(shared: Any, held: dict[str, HeldRate]) -> Any:  # noqa: ANN401 - any config
    view = object.__new__(_view_class(type(shared), tuple(sorted(held))))
    view.__dict__ = shared.__dict__
    view._shared, view._held = shared, held
    return view


_CLASSES: dict[tuple[type, tuple[str, ...]], type] = {}


def _view_class(original: type, names: tuple[str, ...]) -> Any:  # noqa: ANN401 - made here
    """The subclass of ``original`` whose ``names`` are rates; made once."""
    key = original, names
    if key not in _CLASSES:
        copied = ("__module__", "__qualname__", "__doc__")
        members: dict[str, Any] = {name: getattr(original, name) for name in copied}
        aliases = getattr(original, "attribute_map", {})  # transformers' second names
        members |= {aliases.get(name, name): _rate_property(name) for name in names}
        members |= {"__slots__": ("_shared", "_held"), "_original": original}
        _CLASSES[key] = type(original.__name__, (_View, original), members)
    return _CLASSES[key]


def _rate_property(name: str) -> property:
    def get(view: _View) -> float:
        return view._held[name].value

    def put(view: _View, p: float) -> None:
        view._held[name].p = p

    return property(get, put)
