"""What is kept of a stream of gradients: sums of the model's length, and a little of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from droptime.dynamics.jackknife import Rows
from droptime.dynamics.layout import Groups, Layout
from droptime.dynamics.reference import Reference, tensors_of
from droptime.dynamics.sketch import WIDTH, Sketch
from droptime.dynamics.vectors import Gradients, Products, add, named_gradients, slabs, zeros
from droptime.errors import ConfigError, DivergedError, GradientError, StateError, StatsError


@dataclass(frozen=True)
class Kept:
    """What is kept of one gradient.

    Attributes:
        norms: norm of each group: ``[groups]``.
        row: sketch of each group's unit vector: ``[groups, sketch]``; float32 if it is lossy.
        cosines: cosine to the reference in each group, times the reference's norm: ``[groups]``.
    """

    norms: Tensor
    row: Tensor
    cosines: Tensor | None


class GradientSums:
    """A stream of gradients, taken in one by one or merged.

    The arguments are those of :class:`~droptime.dynamics.directions.GradientDirections`.
    """

    def __init__(
        self,
        *,
        groups: Groups = None,
        reference: Reference | None = None,
        noise: bool = True,
        halved: bool = True,
        vectors: bool = True,
        sketch: int = WIDTH,
        seed: int = 0,
    ) -> None:
        for name, value in (("halved", halved), ("noise", noise), ("vectors", vectors)):
            if not isinstance(value, bool):
                raise ConfigError(f"{name}={value!r}: expected True or False.")
        self.halved, self.noise, self.vectors = halved, noise, vectors
        self.reference, self.sketch_width, self.seed = reference, sketch, seed
        self._wanted_groups = groups
        self._layout: Layout | None = None
        self._sketch: Sketch | None = None
        self.sums: dict[str, list[Tensor]] = {}
        self.kept: list[Kept] = []

    def __len__(self) -> int:
        """How many gradients were taken in."""
        return len(self.kept)

    @property
    def layout(self) -> Layout:
        """Which parameters, in which groups.

        Raises:
            StatsError: no gradient was taken in yet.
        """
        if self._layout is None:
            raise StatsError("No gradient was taken in: call update() after each backward().")
        return self._layout

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups; empty if only the whole model is measured."""
        return () if self.layout.groups == ("",) else self.layout.groups

    def begin(self, parameters: Mapping[str, Tensor]) -> Self:
        """Lay out the vector by its parameters, which the first update else does by itself."""
        layout = Layout.of(parameters, self._wanted_groups)
        self._lay_out(layout, list(parameters.values()))
        return self

    def update(self, gradients: Gradients) -> None:
        """Take in one gradient.

        Args:
            gradients: a module after its backward pass, whose ``.grad`` are read, or a mapping from
                parameter names to gradients. They may be changed afterwards.

        Raises:
            GradientError: the gradient, or that of a group, is zero: it has no direction.
            DivergedError: it is not finite.
            StateError: it is of other parameters than those before.
        """
        named = named_gradients(gradients)
        if self._layout is None:
            self.begin(tensors_of(gradients, named))
        self.update_pieces(self.layout.pieces(named), named)

    def update_pieces(
        self,
        pieces: Sequence[Tensor | None],
        named: Mapping[str, Tensor | None] = MappingProxyType({}),
    ) -> None:
        """Take in a gradient by its pieces; ``named`` is for what an error says."""
        assert self._sketch is not None
        layout = self.layout
        powers, products, row = self._read(pieces, layout)
        check_powers(powers, layout, named)
        norms = powers.sqrt()
        row = row / norms[:, None]
        row = row if self._sketch.lossless else row.float()
        self._add(pieces, norms)
        self.kept.append(Kept(norms, row, None if products is None else products / norms))

    def _read(
        self, pieces: Sequence[Tensor | None], layout: Layout
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Squared norms, products with the reference, and the sketch, in one walk."""
        assert self._sketch is not None
        powers, products, buckets = Products(layout), Products(layout), self._sketch.empty()
        against = None if self.reference is None else self.reference.pieces
        for index, place, slab in slabs(pieces):
            powers.add(index, slab, slab)
            self._sketch.add(buckets, index, place, slab)
            if against is not None:
                products.add(index, slab, against[index][place])
        found = None if against is None else products.total()
        return powers.total(), found, self._sketch.row(buckets)

    def _add(self, pieces: Sequence[Tensor | None], norms: Tensor) -> None:
        """Add the gradient to every sum, in one walk."""
        factors = {"plain": 1.0, "units": 1 / float(norms.norm())}
        by_group = (1 / norms).tolist()
        for index, place, slab in slabs(pieces):
            factors["group units"] = by_group[self.layout.owners[index]]
            for name, into in self.sums.items():
                into[index][place].add_(slab, alpha=factors[name])

    def hold(self, kept: Sequence[Kept], layout: Layout) -> Self:
        """Have taken in gradients of which rows that lose nothing are known; there are no sums."""
        self.kept, self._layout, self.vectors = list(kept), layout, False
        return self

    def merge(self, other: GradientSums) -> Self:
        """Take in the gradients of another, measured in the same way; the other stays as it is.

        Raises:
            StateError: it was not measured in the same way, or is of another model.
        """
        self.check_settings(other)
        if other._layout is None:
            return self
        if self._layout is None:
            if self._wanted_groups != other._wanted_groups:
                raise StateError("What is merged has other groups: give both the same groups=.")
            self._lay_out(other._layout, next(iter(other.sums.values()), []))
        self.layout.check(other._layout, "What is merged")
        for name, pieces in self.sums.items():
            add(pieces, other.sums[name])
        self.kept += other.kept
        return self

    def norms(self, group: str | None = None) -> Rows:
        """Norm of each gradient: ``[n]``."""
        self.enough(1)
        norms, index = self.group_norms(), self.index_of(group)
        return np.asarray(norms[:, index] if index is not None else np.sqrt((norms**2).sum(1)))

    def rows(self, group: str | None = None) -> Rows:
        """Sketch of each unit vector: ``[n, sketch]``."""
        self.enough(1)
        index = self.index_of(group)
        if index is not None or len(self.layout.groups) == 1:
            index = index or 0
            return np.asarray(torch.stack([kept.row[index] for kept in self.kept]).numpy())
        rows = torch.stack([kept.row for kept in self.kept]).numpy()
        shares = self.group_norms() / self.norms()[:, None]
        return np.asarray(np.einsum("ngw,ng->nw", rows, shares))

    def _lay_out(self, layout: Layout, like: Sequence[Tensor]) -> None:
        if self.reference is not None:
            layout.check(self.reference.layout, "The reference", groups=False)
        self._layout = layout
        self._sketch = Sketch(layout, width=self.sketch_width, seed=self.seed)
        kept = {"units": True, "plain": self.noise, "group units": layout.groups != ("",)}
        self.sums = {
            name: zeros(layout, like) for name, wanted in kept.items() if self.vectors and wanted
        }

    def check_settings(self, other: GradientSums) -> None:
        """Refuse one that measures in another way."""
        for name in ("halved", "noise", "vectors", "sketch_width", "seed"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise StateError(
                    f"Cannot be combined: {name.removesuffix('_width')} is {ours} here, {theirs} "
                    "there. Build both in the same way."
                )
        if not _same(self.reference, other.reference):
            raise StateError("Cannot be combined: they were given different references.")

    def enough(self, least: int) -> int:
        """How many gradients there are, if there are enough."""
        if len(self) < least:
            raise StatsError(
                f"{len(self)} gradient(s) were taken in: this needs at least {least}. Call "
                "update() after each backward()."
            )
        return len(self)

    def group_norms(self) -> Rows:
        """``[n, groups]``."""
        return np.asarray(torch.stack([kept.norms for kept in self.kept]).numpy())

    def index_of(self, group: str | None) -> int | None:
        """Index of a group; None for the whole."""
        return None if group is None else self.layout.index(group)


def _same(left: Reference | None, right: Reference | None) -> bool:
    if left is right or left is None or right is None:
        return left is right
    return all(map(torch.equal, left.pieces, right.pieces))


def check_powers(powers: Tensor, layout: Layout, named: Mapping[str, Tensor | None]) -> None:
    """Refuse a gradient that is not finite or has no direction, before anything is changed."""
    for group, power in zip(layout.groups, powers.tolist(), strict=True):
        where = f" of group {group!r}" if group else ""
        if not math.isfinite(power):
            raise DivergedError(
                f"The gradient{where} is not finite. Look at the loss, or at the loss scale in "
                "float16; nothing was taken in."
            )
        if power == 0:
            without = [name for name, gradient in named.items() if gradient is None]
            unused = (
                f" {len(without)} parameters, such as {without[0]!r}, got no gradient."
                if (without)
                else ""
            )
            raise GradientError(
                f"The gradient{where} is zero: it has no direction.{unused} Give larger "
                "mini-batches, or other groups= if the model does not use those parameters."
            )
