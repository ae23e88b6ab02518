"""Any library: floats that a module's own code hands to a dropout function."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from torch import nn

from droptime.sites.code import forward_names
from droptime.sites.grips import FusedDropout, TensorFloat
from droptime.sites.kinds import dropout_kind
from droptime.sites.registry import Found
from droptime.sites.site import ATTENTION, HEAD

_DROPS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "scaled_dot_product_attention"}


def fused_attention(module: nn.Module, path: str) -> Iterator[Found]:
    """A child dropout whose ``p`` the module hands to ``scaled_dot_product_attention``."""
    for names in forward_names(type(module)):
        if not {"scaled_dot_product_attention", "p"} <= names:
            continue
        for name, child in module.named_children():
            if type(child) is nn.Dropout and name in names and dropout_kind(name) == ATTENTION:
                grip = functools.partial(FusedDropout, child, module)
                yield Found(child, "p", ATTENTION, child.p, grip, child=name)


def functional_dropout(module: nn.Module, path: str) -> Iterator[Found]:
    """A float that a method hands to a dropout function, or one that nothing reads.

    A dropout function is told the training flag, so a method that mentions both the float and
    ``training`` passes it on; a float that no method of forward mentions is only a record of how
    the model was built.
    """
    if type(module).__module__.startswith("torch.nn."):
        return
    methods = forward_names(type(module))
    for attribute, value in sorted(vars(module).items()):  # an order that close() cannot change
        if type(value) not in (float, int) or "drop" not in attribute:
            continue
        readers = [names for names in methods if attribute in names]
        kind = HEAD if not path else dropout_kind(path, attribute)
        if any("training" in names and names & _DROPS for names in readers):
            grip = functools.partial(TensorFloat, module, attribute)
            yield Found(module, attribute, kind, value, grip)
        elif readers:
            note = "read in a way droptime does not know: set it yourself or register a rule"
            yield Found(module, attribute, kind, value, None, state="unknown", note=note)
        else:
            note = "a record of how the model was built: no forward reads it"
            yield Found(module, attribute, kind, value, None, state="dead", note=note)
