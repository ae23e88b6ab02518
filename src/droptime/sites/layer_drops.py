"""Grips on layer drop: whole layers left out of a loop, the same ones on all ranks."""

from __future__ import annotations

from torch import nn

from droptime.layers import (
    LayerRate,
    hold_config,
    hold_float,
    release_config,
    release_float,
)


class LayerDrop:
    """The rate that a loop over layers compares with a draw: a float, or one of its config."""

    def __init__(self, module: nn.Module, attribute: str, path: str) -> None:
        self.module, self.attribute, self.path = module, attribute, path
        self.in_config = "." in attribute
        if self.in_config:
            self.rate = hold_config(module, attribute, rate_class=LayerRate)
        else:
            self.found = float(getattr(module, attribute))
            self.rate = hold_float(module, attribute, rate_class=LayerRate)

    def write(self, rate: float) -> None:
        """Set the drop probability."""
        self.rate.p = rate

    def at(self, step: int) -> None:
        """Begin the draws of a step, on every rank."""
        assert isinstance(self.rate, LayerRate)
        self.rate.at(step, self.path)

    def release(self) -> None:
        """Give the module its float, or its config, back."""
        if self.in_config:
            release_config(self.module, self.attribute)
        else:
            release_float(self.module, self.attribute, self.found)
