"""Gradients as float64 vectors: where they come from, their products and sums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from droptime.dynamics.layout import Layout
from droptime.errors import GradientError

Gradients: TypeAlias = "nn.Module | Mapping[str, Tensor | None]"

SLAB = 1 << 16


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

    Memory: a slab of each. Communication, where the vector is sharded: the result.
    """
    found = Products(layout)
    for index, place, slab in slabs(left):
        other = right[index]
        if other is not None:
            found.add(index, slab, slab if right is left else other[place].double())
    return found.total()


class Products:
    """Inner products of slabs, summed by group."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._owners: list[int] = []
        self._parts: list[Tensor] = []

    def add(self, index: int, left: Tensor, right: Tensor) -> None:
        """Add the product of two slabs of a piece."""
        self._owners.append(self.layout.owners[index])
        self._parts.append(torch.dot(left, right))

    def total(self) -> Tensor:
        """Sum of each group, over the processes that share the vector too: ``[groups]``."""
        found = torch.zeros(len(self.layout.groups), dtype=torch.float64)
        if self._parts:
            home = self._parts[0].device
            values = torch.stack([part.to(home) for part in self._parts]).cpu()
            found.index_add_(0, torch.tensor(self._owners), values)
        return self.layout.total(found)


def add(into: Sequence[Tensor], pieces: Sequence[Tensor | None], factor: float = 1.0) -> None:
    """Add to a float64 vector another times a factor."""
    for index, place, slab in slabs(pieces):
        into[index][place].add_(slab, alpha=factor)


def zeros(layout: Layout, like: Sequence[Tensor]) -> list[Tensor]:
    """A float64 vector of zeros, each piece on the device of its parameter."""
    return [
        torch.zeros(size, dtype=torch.float64, device=tensor.device)
        for size, tensor in zip(layout.sizes, like, strict=True)
    ]


def slabs(pieces: Sequence[Tensor | None]) -> Iterator[tuple[int, slice, Tensor]]:
    """A vector in float64, 2^16 numbers at a time: index of the piece, place in it, numbers."""
    for index, piece in enumerate(pieces):
        for start in range(0, 0 if piece is None else piece.numel(), SLAB):
            assert piece is not None
            place = slice(start, min(start + SLAB, piece.numel()))
            yield index, place, piece[place].double()
