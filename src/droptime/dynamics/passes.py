"""One mini-batch's gradient, taken so that the training run never knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from droptime.dynamics.layout import is_sharded
from droptime.dynamics.switch import dropout_off
from droptime.dynamics.vectors import parameters
from droptime.errors import ConfigError, DivergedError, SiteError
from droptime.sites import unwrap
from droptime.sites.undisturbed import eager, seed, undisturbed

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
        reshard(bare)
        yield bare


def reshard(model: nn.Module) -> None:
    """Let sharded parameters be shards again, which a forward pass alone may have gathered."""
    for module in model.modules():
        sharded: Any = module
        if hasattr(module, "reshard") and hasattr(module, "unshard"):
            sharded.reshard()


def check_off(model: nn.Module, loss_fn: LossFn, batch: object) -> None:
    """Prove that :func:`dropout_off` leaves no dropout, by running a model being measured.

    Where the loss hangs on the seed in eval mode too, ``loss_fn`` draws by itself (mixup), and
    nothing can be told.

    Raises:
        SiteError: with every rate at 0 the loss changes with the seed, and in eval mode not.

    Cost: four forward passes.
    """
    flags = [(module, module.training) for module in model.modules()]
    with torch.no_grad(), dropout_off(model):
        training = [_loss_at(model, loss_fn, batch, number) for number in (1, 2)]
        try:
            for module, _ in flags:
                module.training = False
            evaluating = [_loss_at(model, loss_fn, batch, number) for number in (1, 2)]
        finally:
            for module, flag in flags:
                module.training = flag
    reshard(model)
    if _differ(training) and not _differ(evaluating):
        raise SiteError(
            f"With every rate droptime finds at 0, the loss still changes with the seed "
            f"({training[0]:.6g}, {training[1]:.6g}), in eval mode not: some dropout of the model "
            "is hidden. droptime.plan(model) shows what is found; keep the rate in an nn.Dropout, "
            "or measure with paired=False and reference=False."
        )


def _loss_at(model: nn.Module, loss_fn: LossFn, batch: object, number: int) -> float:
    seed(number)
    loss = loss_fn(model, batch)
    _check_shape(loss)
    return float(loss)


def _differ(losses: list[float]) -> bool:
    return abs(losses[0] - losses[1]) > 1e-5 * max(map(abs, losses))


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


def _check(loss: Tensor) -> None:
    _check_shape(loss)
    if not loss.requires_grad:
        raise ConfigError(
            "loss_fn(model, batch) returned a loss without a gradient: compute it from the model "
            "it is given, without detach() or no_grad()."
        )
    if not math.isfinite(float(loss.detach())):
        raise DivergedError(f"The loss is {float(loss.detach())}: a gradient of it says nothing.")


def _check_shape(loss: object) -> None:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise ConfigError(
            f"loss_fn(model, batch) returned {got}: expected one number, the mean loss of the "
            "batch. Reduce it with .mean(), and leave backward() to the probe."
        )
