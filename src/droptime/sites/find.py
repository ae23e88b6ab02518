"""Find every site of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from droptime.errors import SiteError
from droptime.layers import TensorRate
from droptime.sites.grips import Grip
from droptime.sites.registry import USER_RULES
from droptime.sites.rules import SHIPPED
from droptime.sites.site import Site


@dataclass(frozen=True)
class Located:
    """A site together with the means of taking hold of it.

    Attributes:
        site: the site.
        module: the module that holds the rate.
        take: takes hold of it; None where nothing can.
        user: the module whose forward uses the rate: often ``module``, sometimes its parent.
    """

    site: Site
    module: nn.Module
    take: Callable[[], Grip] | None
    user: nn.Module


def find_sites(model: nn.Module) -> tuple[Site, ...]:
    """Return the sites of a model, in the order in which its modules were registered.

    Finds dropout of every kind in torch.nn, timm, torchvision, transformers, PEFT and
    segmentation-models-pytorch, floats passed to dropout functions and placeholders built at rate
    0. Wrappers (compiled, DDP) are looked through. The model is not changed. Cost: one walk over
    the modules.

    >>> from torch import nn
    >>> [site.name for site in find_sites(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1)))]
    ['1.p']
    """
    return tuple(located.site for located in locate(model))


def locate(model: nn.Module) -> list[Located]:
    """Return the sites of an unwrapped model with the means of taking hold of them."""
    return list(_walk(unwrap(model)))


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside torch.compile's and the data-parallel wrappers."""
    if not isinstance(model, nn.Module):
        raise SiteError(f"{model!r} is a {type(model).__name__}: expected a torch.nn.Module.")
    while True:
        if isinstance(model, (nn.parallel.DistributedDataParallel, nn.DataParallel)):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def _plain(*paths: str) -> str:
    """A path without the names that regional compilation puts into it."""
    parts = ".".join(filter(None, paths)).split(".")
    return ".".join(part for part in parts if part != "_orig_mod")


def place_rates(model: nn.Module) -> None:
    """Move every rate held in a tensor to the device of the parameters around it."""
    model = unwrap(model)
    for path, module in model.named_modules():
        if isinstance(module, TensorRate):
            module.to(_device_around(model, path))


def _device_around(model: nn.Module, path: str) -> torch.device | None:
    """The device of the nearest ancestor that has parameters; None if there are none at all."""
    parts = path.split(".")
    for length in range(len(parts) - 1, -1, -1):
        parameter = next(model.get_submodule(".".join(parts[:length])).parameters(), None)
        if parameter is not None:
            return parameter.device
    return None


def _walk(model: nn.Module) -> Iterator[Located]:
    claimed: set[tuple[int, str]] = set()
    for path, module in model.named_modules():
        for rule in (*USER_RULES, *SHIPPED):
            for found in rule(module, path):
                if (id(found.module), found.attribute) in claimed:
                    continue
                claimed.add((id(found.module), found.attribute))
                yield Located(
                    Site(
                        path=_plain(path, found.child),
                        kind=found.kind,
                        attribute=found.attribute,
                        rate=found.rate,
                        state=found.state,
                        note=found.note,
                    ),
                    found.module,
                    found.grip,
                    module,
                )
