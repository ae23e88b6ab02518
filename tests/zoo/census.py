"""The census: every model of a library built without memory, and the sites counted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from droptime import find_sites
from droptime.sites import Site


@dataclass(frozen=True)
class Counted:
    """One model on the meta device, with its rates up.

    Attributes:
        library: where it is from.
        family: what the library groups it by.
        name: the entrypoint that built it.
        parameters: how many numbers it learns.
        sites: how many of each kind and state: ``{"drop_path": {"open": 11, "closed": 1}}``.
        error: why it could not be built, if so.
    """

    library: str
    family: str
    name: str
    parameters: int = 0
    sites: dict[str, dict[str, int]] = field(default_factory=dict)
    error: str = ""

    def as_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def counted(library: str, family: str, name: str, build: Callable[[], nn.Module]) -> Counted:
    """Build on the meta device and count; an error is written down, whatever it is."""
    try:
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore")
            model = build()
    except Exception as error:
        return Counted(library, family, name, error=described(error))
    size = sum(parameter.numel() for parameter in model.parameters())
    return Counted(library, family, name, size, count(find_sites(model)))


def count(sites: tuple[Site, ...]) -> dict[str, dict[str, int]]:
    """How many sites of each kind and state."""
    counts: dict[str, dict[str, int]] = {}
    for site in sites:
        states = counts.setdefault(site.kind, {})
        states[site.state] = states.get(site.state, 0) + 1
    return counts


def described(error: Exception) -> str:
    """An error in one line of bearable length."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
