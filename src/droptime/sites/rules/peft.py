"""PEFT: the dropout inside adapters, one for each adapter of a layer."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from torch import nn

from droptime.sites.grips import DictFloat, PlainFloat, dropout_layer, is_dropout
from droptime.sites.registry import BAKED, Found
from droptime.sites.site import LORA
from droptime.sites.usage import is_read


def adapter_dropout(module: nn.Module, path: str) -> Iterator[Found]:
    """``lora_dropout`` and its like: a dropout, or its placeholder, by the adapter's name."""
    if not hasattr(module, "adapter_layer_names"):
        return
    for name, held in module.named_children():
        if not (name.endswith("_dropout") and isinstance(held, nn.ModuleDict)):
            continue
        for adapter, child in held.items():
            found = functools.partial(Found, child, "p", LORA, child=f"{name}.{adapter}")
            dropout = functools.partial(dropout_layer, child, "p")
            if not is_read(type(module), name):
                note = "no forward of this kind of layer calls it"
                yield found(getattr(child, "p", 0.0), None, state="dead", note=note)
            elif is_dropout(child):
                yield found(child.p, dropout)
            elif type(child).__name__ == "MultiplicativeDropoutLayer":
                yield found(float(child.p), functools.partial(PlainFloat, child, "p"), note=BAKED)  # type: ignore[arg-type]
            elif type(child) is nn.Identity and name in ("oft_dropout", "boft_dropout"):
                note = "a placeholder: build the adapter with its dropout above 0"
                yield found(0.0, None, state="sealed", note=note)
            elif type(child) is nn.Identity:
                yield found(0.0, dropout, state="closed")


def adapter_floats(module: nn.Module, path: str) -> Iterator[Found]:
    """``rank_dropout`` and ``module_dropout`` of LoHa and LoKr: a float by the adapter's name."""
    if not hasattr(module, "adapter_layer_names"):
        return
    for name in ("rank_dropout", "module_dropout"):
        for adapter, rate in vars(module).get(name, {}).items():
            attribute = f"{name}[{adapter}]"
            grip = functools.partial(DictFloat, module, name, adapter)
            yield Found(module, attribute, LORA, float(rate), grip, note=BAKED)
