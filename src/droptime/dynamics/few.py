"""A few gradients kept as they are: products of all pairs, in place of sums and sketches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from droptime.dynamics.layout import Layout
from droptime.dynamics.sums import Kept
from droptime.dynamics.vectors import SLAB

ROOM = 16
"""Bytes that may be kept for each number of the model: what two float64 vectors take."""

Pieces: TypeAlias = Sequence[Tensor | None]


class FewGradients:
    """As many whole gradients as take no more memory than two float64 vectors.

    Four in float32, eight in bfloat16. Their products

        G_ij = <g_i, g_j>        [groups, K, K], float64

    tell all that sums and sketches would, and without loss: see :meth:`rows`.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.gradients: list[Mapping[str, Tensor | None]] = []

    def has_room(self, pieces: Pieces) -> bool:
        """Whether one more may be kept."""
        each = sum(piece.nbytes for piece in pieces if piece is not None)
        return (len(self.gradients) + 1) * each <= ROOM * self.layout.numel

    def rows(self) -> list[Kept]:
        """What :class:`GradientDirections` keeps of each gradient; its rows lose nothing.

        The cosines of a group, ``C_ij = G_ij / (||g_i|| ||g_j||)``, are factored into ``R R^T``,
        and row ``i`` of ``R`` stands for ``g_i``'s unit vector: all that is asked of rows is their
        products. Each group has places of its own, so products between groups are 0.
        """
        found = products([self.layout.pieces(g) for g in self.gradients], self.layout)
        norms = found.diagonal(dim1=1, dim2=2).sqrt()
        values, vectors = torch.linalg.eigh(found / (norms[:, :, None] * norms[:, None]))
        factors = vectors * values.clamp(min=0).sqrt()[:, None]
        count = len(self.gradients)
        wide = torch.zeros(count, len(found), len(found), count, dtype=torch.float64)
        for index, factor in enumerate(factors):
            wide[:, index, index] = factor
        return [Kept(norms[:, i].clone(), wide[i].flatten(1), None) for i in range(count)]


def products(gradients: Sequence[Pieces], layout: Layout) -> Tensor:
    """Inner products of all pairs: ``[groups, K, K]``, float64, on the CPU.

    Cost: one pass over each gradient. Memory: a slab of each.
    """
    count = len(gradients)
    slabs: dict[torch.device, Tensor] = {}
    totals: dict[tuple[torch.device, int], Tensor] = {}
    for owner, pieces in zip(layout.owners, zip(*gradients, strict=True), strict=True):
        there = next((piece for piece in pieces if piece is not None), None)
        if there is None:
            continue
        home = there.device
        if home not in slabs:
            slabs[home] = there.new_empty(count, SLAB, dtype=torch.float64)
        total = totals.setdefault((home, owner), slabs[home].new_zeros(count, count))
        for start in range(0, there.numel(), SLAB):
            slab = slabs[home][:, : there.numel() - start]
            for line, piece in zip(slab, pieces, strict=True):
                line.zero_() if piece is None else line.copy_(piece[start : start + SLAB])
            total.addmm_(slab, slab.T)
    found = torch.zeros(len(layout.groups), count, count, dtype=torch.float64)
    for (_, owner), total in totals.items():
        found[owner] += total.cpu()
    return layout.total(found)


def rough_powers(pieces: Pieces, layout: Layout) -> Tensor:
    """Squared norm of each group in the gradient's own precision: ``[groups]``, float64."""
    powers = torch.zeros(len(layout.groups), dtype=torch.float64)
    there = [(owner, p) for owner, p in zip(layout.owners, pieces, strict=True) if p is not None]
    if there:
        home = there[0][1].device
        values = torch.stack([torch.dot(p, p).to(home, torch.float64) for _, p in there]).cpu()
        powers.index_add_(0, torch.tensor([owner for owner, _ in there]), values)
    return layout.total(powers)
