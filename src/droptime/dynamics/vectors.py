"""Gradients as float64 vectors: where they come from, their products and sums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from droptime.dynamics.layout import Layout
from droptime.errors import GradientError

Gradients: TypeAlias = "nn.Module | Mapping[str, Tensor | None]"

SLAB = 1 << 18


def parameters(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that are trained, by name; what the rest does has no gradient.

    Raises:
        GradientError: nothing is trained.
    """
    found: dict[str, Tensor] = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if not found:
        raise GradientError("The model has no parameter that requires a gradient: unfreeze some.")
    return found


def named_gradients(source: Gradients) -> dict[str, Tensor | None]:
    """Gradients by name: a module's ``.grad`` as they are now, or the mapping given.

    Raises:
        GradientError: a module none of whose parameters has a gradient, or something else.
    """
    if isinstance(source, nn.Module):
        found: dict[str, Tensor | None] = {n: p.grad for n, p in parameters(source).items()}
        if all(gradient is None for gradient in found.values()):
            raise GradientError(
                "No parameter has a gradient: update() comes after backward() and before "
                "zero_grad()."
            )
        return found
    if isinstance(source, Mapping):
        return dict(source)
    raise GradientError(
        f"{type(source).__name__}: expected a module after backward(), or a mapping from "
        "parameter names to gradients."
    )


def squares(pieces: Sequence[Tensor | None], layout: Layout) -> Tensor:
    """Squared norm of each group: ``[groups]``, float64, on the CPU."""
    return dots(pieces, pieces, layout)


def dots(left: Sequence[Tensor | None], right: Sequence[Tensor | None], layout: Layout) -> Tensor:
    """Inner product of two vectors in each group: ``[groups]``, float64, on the CPU.

    Memory: a slab of 2^18 numbers of each. Communication, where the vector is sharded: the result.
    """
    owners, parts = [], []
    for owner, a, b in zip(layout.owners, left, right, strict=True):
        if a is not None and b is not None:
            for x, y in slabs(a, b):
                owners.append(owner)
                wide = x.double()
                parts.append(torch.dot(wide, wide if a is b else y.double()))
    found = torch.zeros(len(layout.groups), dtype=torch.float64)
    if parts:
        home = parts[0].device
        values = torch.stack([part.to(home) for part in parts]).cpu()
        found.index_add_(0, torch.tensor(owners), values)
    return layout.total(found)


def add(into: Sequence[Tensor], pieces: Sequence[Tensor | None], factors: Sequence[float]) -> None:
    """Add to a float64 vector each piece times its factor."""
    for whole, piece, factor in zip(into, pieces, factors, strict=True):
        if piece is not None:
            for x, y in slabs(whole, piece):
                x.add_(y, alpha=factor)


def zeros(layout: Layout, like: Sequence[Tensor]) -> list[Tensor]:
    """A float64 vector of zeros, each piece on the device of its parameter."""
    return [
        torch.zeros(size, dtype=torch.float64, device=tensor.device)
        for size, tensor in zip(layout.sizes, like, strict=True)
    ]


def slabs(left: Tensor, right: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Two flat tensors in step, a slab at a time, so that copies stay small."""
    return zip(torch.split(left, SLAB), torch.split(right, SLAB), strict=True)
