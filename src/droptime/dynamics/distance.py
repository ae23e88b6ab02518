"""How far a model has come: the distance between its weights and a start."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from droptime.dynamics.layout import Groups, Layout
from droptime.dynamics.vectors import parameters, squares
from droptime.errors import StateError
from droptime.sites import unwrap


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """Copy the trained parameters, by name. Memory: one vector in their own precision."""
    return {name: p.detach().clone() for name, p in parameters(unwrap(model)).items()}


def distance_from(
    model: nn.Module, start: Mapping[str, Tensor], *, groups: Groups = None
) -> dict[str, float]:
    """Return the Euclidean distance ``||W - W_start||`` over all trained parameters.

    Args:
        model: wrapped, sharded or neither.
        start: weights by name, as :func:`snapshot` or ``state_dict()`` gives them; names that are
            not trained parameters are ignored. On another device they are brought over one by one.
        groups: also give the distance of each, as for
            :class:`~droptime.dynamics.directions.GradientDirections`.

    Returns:
        The distance of the whole under ``""``, then of each group under its name.

    Raises:
        StateError: the start lacks a parameter, or has it in another shape.

    Cost: one pass over the weights, in float64. Memory: one parameter.

    >>> from torch import nn
    >>> model = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.zeros_(model.weight)
    >>> start = snapshot(model)
    >>> _ = nn.init.ones_(model.weight)
    >>> distance_from(model, start)
    {'': 2.0}
    """
    named = parameters(unwrap(model))
    layout = Layout.of(named, groups)
    for name, p in named.items():
        if name not in start or start[name].shape != p.shape:
            had = tuple(start[name].shape) if name in start else "none"
            raise StateError(
                f"The start is of another model: {name!r} has shape {had} there and "
                f"{tuple(p.shape)} here. Give the weights this model began with."
            )
    powers = torch.zeros(len(layout.groups), dtype=torch.float64)
    here, there = layout.pieces(dict(named)), layout.pieces({n: start[n] for n in named})
    for index, (now, before) in enumerate(zip(here, there, strict=True)):
        assert now is not None
        assert before is not None
        if now.shape != before.shape:
            raise StateError("The start is sharded otherwise than the model: snapshot() it there.")
        difference = now.double() - before.to(now.device).double()
        powers[layout.owners[index]] += float(torch.dot(difference, difference))
    powers = layout.total(powers)
    found = {"": math.sqrt(float(powers.sum()))}
    if layout.groups != ("",):
        found |= dict(zip(layout.groups, powers.sqrt().tolist(), strict=True))
    return found


def gradient_norm(model: nn.Module, *, groups: Groups = None) -> dict[str, float]:
    """Return the Euclidean norm of the gradient in ``.grad``, of the whole and of each group.

    A parameter without a gradient counts as zero: the paper's norm is that of the whole model,
    dropped units included. Keys, cost and arguments are those of :func:`distance_from`.

    >>> import torch
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> model(torch.tensor([[3.0, 4.0]])).sum().backward()
    >>> gradient_norm(model)
    {'': 5.0}
    """
    named = parameters(unwrap(model))
    layout = Layout.of(named, groups)
    powers = squares(layout.pieces({name: p.grad for name, p in named.items()}), layout)
    found = {"": math.sqrt(float(powers.sum()))}
    if layout.groups != ("",):
        found |= dict(zip(layout.groups, powers.sqrt().tolist(), strict=True))
    return found
