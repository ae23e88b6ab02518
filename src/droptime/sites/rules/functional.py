"""Any library: rates that a module's own code hands to a dropout function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from torch import nn

from droptime.sites.code import forward_methods
from droptime.sites.grips import (
    ConfigFloat,
    FusedDropout,
    Grip,
    TensorFloat,
    dropout_layer,
    is_dropout,
)
from droptime.sites.registry import Found
from droptime.sites.site import ATTENTION
from droptime.sites.usage import attention_rates, dropped_by, float_kind, is_handed_on, is_read


def attention_dropout(module: nn.Module, path: str) -> Iterator[Found]:
    """A child dropout of the attention weights, whatever its name.

    The module calls it on the weights, or hands its ``p`` to an attention function.
    """
    cls = type(module)
    for name, child in module.named_children():
        if not is_dropout(child):
            continue
        if any(is_handed_on(method, f"self.{name}.p") for method in forward_methods(cls)):
            fused = functools.partial(FusedDropout, child, module)
            yield Found(child, "p", ATTENTION, child.p, fused, child=name)
        elif f"self.{name}" in attention_rates(cls):
            called = functools.partial(dropout_layer, child, "p")
            yield Found(child, "p", ATTENTION, child.p, called, child=name)


def functional_dropout(module: nn.Module, path: str) -> Iterator[Found]:
    """A float that a method hands to a dropout function, or one that nothing reads.

    A float that no method of forward mentions is only a record of how the model was built.
    """
    cls = type(module)
    if cls.__module__.startswith("torch.nn."):
        return
    dropped = dropped_by(cls)
    for attribute, value in sorted(vars(module).items()):  # an order that close() cannot change
        named = "drop" in attribute or f"self.{attribute}" in dropped
        if type(value) not in (float, int) or not named:
            continue
        if is_read(cls, attribute):
            yield _read(module, path, attribute, value, TensorFloat)
        else:
            kind = float_kind(module, path, attribute)
            note = "a record of how the model was built: no forward reads it"
            yield Found(module, attribute, kind, value, None, state="dead", note=note)


def config_dropout(module: nn.Module, path: str) -> Iterator[Found]:
    """A float that a method which runs in training reads from the module's config."""
    methods = [m for m in forward_methods(type(module)) if "training" in m.names]
    loads = dict.fromkeys(load for method in methods for load in method.loads)
    for load in loads:
        owner, _, name = load.removeprefix("self.").partition(".")
        config = vars(module).get(owner)
        if not load.startswith("self.") or "drop" not in name or not hasattr(config, "to_dict"):
            continue
        value = getattr(config, name, None)
        if isinstance(value, (float, int)) and not isinstance(value, bool):
            yield _read(module, path, f"{owner}.{name}", value, ConfigFloat)


def _read(
    module: nn.Module,
    path: str,
    attribute: str,
    value: float,
    grip: Callable[[nn.Module, str], Grip],
) -> Found:
    """A float that forward reads: open if it is handed to a dropout."""
    kind = float_kind(module, path, attribute)
    if any(is_handed_on(m, f"self.{attribute}") for m in forward_methods(type(module))):
        return Found(module, attribute, kind, value, functools.partial(grip, module, attribute))
    note = "read in a way droptime does not know: set it yourself or register a rule"
    return Found(module, attribute, kind, value, None, state="unknown", note=note)
