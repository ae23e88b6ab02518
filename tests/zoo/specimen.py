"""One model of the zoo: how to build it, and a batch to run it on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Specimen:
    """A small member of one family of models.

    Attributes:
        library: ``timm``, ``torchvision`` or ``transformers``.
        family: what the library groups its models by: a model file, a module, a model type.
        name: the entrypoint or class that was built.
        build: makes the model: with every drop rate raised, or with all of them at 0.
        example: one batch of two samples for a model that was built, as ``droptime.verify`` takes
            it.
    """

    library: str
    family: str
    name: str
    build: Callable[[bool], nn.Module]
    example: Callable[[nn.Module], object]

    def __str__(self) -> str:
        """``library:family:name``."""
        return f"{self.library}:{self.family}:{self.name}"
