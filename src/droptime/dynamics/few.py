"""A few gradients kept as they are: products of all pairs, in place of sums and sketches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from droptime.dynamics.layout import Layout
from droptime.dynamics.sums import Kept
from droptime.dynamics.vectors import SLAB

ROOM = 16
"""Bytes that may be kept for each number of the model: what two float64 vectors take."""

Home: TypeAlias = tuple[int, torch.device, torch.dtype]
"""The group of a piece, where it lies, and its precision."""


class FewGradients:
    """As many whole gradients as take no more memory than two float64 vectors.

    Four in float32, eight in bfloat16. Pieces of one home lie side by side, so that a few large
    operations read them, not some for every parameter. Their products

        G_ij = <g_i, g_j>        [groups, K, K], float64

    tell all that sums and sketches would, and without loss: see :meth:`rows`.

    Args:
        layout: of the gradients.
        like: a vector of that layout, its pieces where those of the gradients are.
    """

    def __init__(self, layout: Layout, like: Sequence[Tensor]) -> None:
        self.layout, self.count = layout, 0
        # By whole parameters, so that processes have the same room whatever they have of each.
        sizes = [math.prod(shape) for shape in layout.shapes]
        taken = sum(size * piece.itemsize for size, piece in zip(sizes, like, strict=True))
        self.room = ROOM * sum(sizes) // max(taken, 1)
        self._members: dict[Home, list[int]] = {}
        for index, piece in enumerate(like):
            home = layout.owners[index], piece.device, piece.dtype
            self._members.setdefault(home, []).append(index)
        self._lines = {  # [room, numbers of the home], a gradient in each line
            home: like[members[0]].new_empty(self.room, sum(layout.sizes[i] for i in members))
            for home, members in self._members.items()
        }

    def write(self, gradient: Sequence[Tensor | None]) -> Tensor:
        """Write a gradient to the next line; it is one of the few once ``count`` is raised.

        Returns:
            Squared norm of each group in the gradient's own precision: ``[groups]``, float64.
        """
        powers = torch.zeros(len(self.layout.groups), dtype=torch.float64)
        for home, lines in self._lines.items():
            line = lines[self.count]
            found = [gradient[index] for index in self._members[home]]
            sizes = [self.layout.sizes[index] for index in self._members[home]]
            torch.cat(
                [
                    line.new_zeros(size) if piece is None else piece
                    for piece, size in zip(found, sizes, strict=True)
                ],
                out=line,
            )
            powers[home[0]] += torch.dot(line, line).cpu()
        return self.layout.total(powers)

    def gradient(self, index: int) -> list[Tensor]:
        """Return the pieces of one of the few."""
        found: dict[int, Tensor] = {}
        for home, members in self._members.items():
            sizes = [self.layout.sizes[member] for member in members]
            found.update(zip(members, torch.split(self._lines[home][index], sizes), strict=True))
        return [found[member] for member in sorted(found)]

    def rows(self) -> list[Kept]:
        """What :class:`GradientDirections` keeps of each gradient; its rows lose nothing.

        The cosines of a group, ``C_ij = G_ij / (||g_i|| ||g_j||)``, are factored into ``R R^T``,
        and row ``i`` of ``R`` stands for ``g_i``'s unit vector: all that is asked of rows is their
        products. Each group has places of its own, so products between groups are 0.
        """
        found = self._products()
        norms = found.diagonal(dim1=1, dim2=2).sqrt()
        values, vectors = torch.linalg.eigh(found / (norms[:, :, None] * norms[:, None]))
        factors = vectors * values.clamp(min=0).sqrt()[:, None]
        wide = torch.zeros(self.count, len(found), len(found), self.count, dtype=torch.float64)
        for index, factor in enumerate(factors):
            wide[:, index, index] = factor
        return [Kept(norms[:, i].clone(), wide[i].flatten(1), None) for i in range(self.count)]

    def _products(self) -> Tensor:
        """Inner products of all pairs: ``[groups, K, K]``, float64, on the CPU.

        Cost: one pass over each gradient. Memory: a slab of each.
        """
        groups, count = len(self.layout.groups), self.count
        found = torch.zeros(groups, count, count, dtype=torch.float64)
        for home, lines in self._lines.items():
            wide = lines.new_empty(count, min(SLAB, lines.shape[1]), dtype=torch.float64)
            total = wide.new_zeros(count, count)
            for narrow in torch.split(lines[:count], SLAB, dim=1):
                slab = wide[:, : narrow.shape[1]].copy_(narrow)
                total.addmm_(slab, slab.T)
            found[home[0]] += total.cpu()
        return self.layout.total(found)
