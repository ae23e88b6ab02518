"""One mini-batch's gradient, taken so that the training run never knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from droptime.dynamics.layout import is_sharded
from droptime.dynamics.vectors import parameters
from droptime.errors import ConfigError, DivergedError
from droptime.sites import unwrap
from droptime.sites.undisturbed import eager, undisturbed

LossFn: TypeAlias = Callable[[Any, Any], Tensor]
"""``loss_fn(model, batch)``: the mean loss over a batch, one number that has a gradient."""


@contextmanager
def measuring(model: nn.Module) -> Iterator[nn.Module]:
    """The bare model to measure on; what :func:`undisturbed` promises holds afterwards.

    A model in training mode keeps its flags; one in eval mode is put in training mode. Compiled
    code runs in eager, and wrappers that would reduce gradients are passed by.
    """
    bare = unwrap(model)
    with undisturbed(bare, train_all=False), eager(bare):
        yield bare


def loss_gradient(
    model: nn.Module, loss_fn: LossFn, batch: object
) -> tuple[float, dict[str, Tensor | None]]:
    """Loss and gradient of one batch, by parameter name. ``.grad`` stays as it is.

    A parameter the loss does not depend on has None. Cost: one forward and backward pass. Memory: a
    gradient.

    Raises:
        ConfigError: the loss is not one number with a gradient.
        DivergedError: the loss is not finite.
    """
    named = parameters(model)
    loss = loss_fn(model, batch)
    _check(loss)
    if any(is_sharded(p) for p in named.values()):
        gradients = _by_backward(loss, named)
    else:
        found = torch.autograd.grad(loss.reshape(()), list(named.values()), allow_unused=True)
        gradients = dict(zip(named, found, strict=True))
    return float(loss.detach()), gradients


def _by_backward(loss: Tensor, named: dict[str, Tensor]) -> dict[str, Tensor | None]:
    """For sharded parameters, which get gradients only through their own hooks."""
    found = {name: p.grad for name, p in named.items()}
    try:
        for p in named.values():
            p.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        return {name: p.grad for name, p in named.items()}
    finally:
        for name, p in named.items():
            p.grad = found[name]


def _check(loss: object) -> None:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise ConfigError(
            f"loss_fn(model, batch) returned {got}: expected one number, the mean loss of the "
            "batch. Reduce it with .mean(), and leave backward() to the probe."
        )
    if not loss.requires_grad:
        raise ConfigError(
            "loss_fn(model, batch) returned a loss without a gradient: compute it from the model "
            "it is given, without detach() or no_grad()."
        )
    if not math.isfinite(float(loss.detach())):
        raise DivergedError(f"The loss is {float(loss.detach())}: a gradient of it says nothing.")
