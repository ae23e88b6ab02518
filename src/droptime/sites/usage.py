"""How the code of a class uses a rate: handed to a dropout, dropping attention weights, or not.

A rate is named as the code names it: ``"self.dropout"`` is a float or a module,
``"self.dropout.p"`` the float of a child module, ``"self.config.dropout"`` a float of a config.
"""

from __future__ import annotations

from torch import nn

from droptime.sites.code import Method, forward_methods
from droptime.sites.kinds import dropout_kind, names_attention
from droptime.sites.site import ATTENTION, HEAD, LAYER_DROP

_FUSED = {"scaled_dot_product_attention", "multi_head_attention_forward"}
_KEYWORDS = {"dropout", "dropout_p"}
"""Keywords by which attention functions take the rate of their weights."""


def is_handed_on(method: Method, rate: str) -> bool:
    """Whether a method hands a rate to a dropout.

    Every dropout is told the training flag; so the method reads the rate and the flag, and calls a
    dropout function or passes a keyword that attention functions take.
    """
    if rate not in method.loads or "training" not in method.names:
        return False
    return bool(method.keywords & _KEYWORDS) or any(map(_drops, method.loads))


def _drops(load: str) -> bool:
    """Whether a name is a function that drops: ``F.dropout``, ``dropout_add``."""
    owner, _, last = load.rpartition(".")
    return owner.split(".")[0] != "self" and ("dropout" in last or last in _FUSED)


def dropped_by(cls: type[nn.Module]) -> frozenset[str]:
    """The rates of ``cls`` that stand in a call of a dropout function, whatever their names.

    As in ``F.dropout(x, p=self.config, training=self.training)``.
    """
    return frozenset(
        rate
        for method in forward_methods(cls)
        for drop, rate, flag in zip(*(method.loads[i:] for i in range(3)), strict=False)
        if _drops(drop) and rate.startswith("self.") and flag == "self.training"
    )


def is_read(cls: type[nn.Module], attribute: str) -> bool:
    """Whether a method of ``cls`` reads an attribute of this name, of any object it names."""
    loads = (load for method in forward_methods(cls) for load in method.loads)
    return any(load.split(".")[1:2] == [attribute] for load in loads)


def attention_rates(cls: type[nn.Module]) -> frozenset[str]:
    """The rates with which ``cls`` drops attention weights, where their names do not say so.

    It is the first rate that a method reads if it passes the keyword ``dropout`` or calls fused
    attention, and in a class of attention the first one read after the softmax.
    """
    if cls not in _ATTENTION:
        found = (_attention_rate(cls, method) for method in forward_methods(cls))
        _ATTENTION[cls] = frozenset(rate for rate in found if rate)
    return _ATTENTION[cls]


_ATTENTION: dict[type[nn.Module], frozenset[str]] = {}


def _attention_rate(cls: type[nn.Module], method: Method) -> str:
    rates = [(place, load) for place, load in enumerate(method.loads) if _is_rate(load)]
    if any(names_attention(part) for _, load in rates for part in load.split(".")):
        return ""
    if method.keywords & _KEYWORDS or method.names & _FUSED:
        return rates[0][1] if rates else ""
    softmax = [place for place, load in enumerate(method.loads) if load.endswith("softmax")]
    if not softmax or "att" not in cls.__name__.lower():
        return ""
    return next((load for place, load in rates if place > softmax[0]), "")


def _is_rate(load: str) -> bool:
    return load.startswith("self.") and "drop" in load


def float_kind(module: nn.Module, path: str, attribute: str) -> str:
    """The kind of a float of ``module``; ``attribute`` may be dotted, ``config.dropout``."""
    name = attribute.rsplit(".", 1)[-1]
    if "layerdrop" in name or "layer_drop" in name:
        return LAYER_DROP
    if f"self.{attribute}" in attention_rates(type(module)):
        return ATTENTION
    if not path and not hasattr(module, "config"):
        return HEAD  # models of timm keep the rate of their head at the root
    return dropout_kind(path, name)
