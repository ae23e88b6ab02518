"""A short seeded sketch of a long vector, whose inner products are those of the vector nearly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from droptime.dynamics.layout import Layout
from droptime.dynamics.vectors import SLAB, slabs
from droptime.errors import ConfigError

Buckets: TypeAlias = dict[torch.device, Tensor]

WIDTH = 4096
FOLDS = 4
SIGNS = (-1.0, 1.0)


class Sketch:
    """A count sketch: every number, with a random sign, is added to one of ``width`` buckets.

    A vector is cut into lines of ``4 * width`` numbers or less. Line ``r`` is multiplied by the
    signs ``s_r * b`` and added to as many buckets from ``o_r`` on, wrapping around, so that

        Cx[k] = sum_r  s_r * b[k - o_r] * x_r[k - o_r]          indices mod 4 * width

    with ``s_r`` and the elements of ``b`` in {-1, 1} and ``o_r`` drawn from the seed. Two numbers
    of one line never meet; two of different lines meet with probability ``1 / (4 * width)``. The
    same with four lines then folds the buckets into ``width``. For any fixed ``x`` and ``y``, over
    seeds,

        E <Cx, Cy> = <x, y>          sd <Cx, Cy> <= sqrt(8 / width) * ||x|| * ||y||

    (about ``1.1 / sqrt(width)`` for unrelated vectors). A vector that fits in ``width`` numbers is
    kept as it is, and nothing is lost.

    Memory: ``width`` numbers and two for each line; nothing of the length of the vector. Cost: one
    pass over the vector.

    Args:
        layout: of the vectors.
        width: number of buckets.
        seed: of signs and places. Sketches are comparable if layout, width and seed are the same.

    Raises:
        ConfigError: width is not a positive whole number.

    Source: Charikar, Chen and Farach-Colton (2002), "Finding frequent items in data streams".
    """

    def __init__(self, layout: Layout, *, width: int = WIDTH, seed: int = 0) -> None:
        if not isinstance(width, int) or isinstance(width, bool) or width < 1:
            raise ConfigError(f"sketch={width!r}: expected a whole number of buckets, at least 1.")
        self.layout, self.width, self.seed = layout, width, seed
        self.lossless = layout.mesh is None and layout.numel <= width
        shard = () if layout.mesh is None else tuple(layout.mesh.get_coordinate())
        common, own = np.random.default_rng(seed), np.random.default_rng([seed, 1, *shard])
        self._long, folding = FOLDS * width, Lines(common, FOLDS, width)
        self._signs = torch.from_numpy(common.choice(SIGNS, size=self._long))
        self._fold = folding, torch.from_numpy(common.choice(SIGNS, size=width))
        self._lines = [
            [Lines(own, math.ceil(size / self._long), self._long) for size in _slab_sizes(numel)]
            for numel in layout.sizes
        ]
        self._starts = list(itertools.accumulate(layout.sizes, initial=0))

    def empty(self) -> Buckets:
        """Buckets to add a vector to."""
        return {}

    def add(self, buckets: Buckets, index: int, place: slice, slab: Tensor) -> None:
        """Add a float64 slab of a piece."""
        long = self.width if self.lossless else 2 * self._long
        into = buckets.get(slab.device)
        if into is None:
            shape = len(self.layout.groups), long
            into = buckets[slab.device] = slab.new_zeros(shape)
        row = into[self.layout.owners[index]]
        if self.lossless:
            row.narrow(0, self._starts[index] + place.start, slab.numel()).copy_(slab)
        else:
            lines = self._lines[index][place.start // SLAB]
            lines.add(row, torch.split(slab, self._long), self._signs.to(slab.device))

    def row(self, buckets: Buckets) -> Tensor:
        """The sketch: ``[groups, width]``, float64, on the CPU. Sum groups for the whole."""
        found = [into.cpu() for into in buckets.values()]
        if not found:  # a process without a shard
            long = self.width if self.lossless else 2 * self._long
            found = [torch.zeros(len(self.layout.groups), long, dtype=torch.float64)]
        total = torch.stack(found).sum(0) if len(found) > 1 else found[0]
        if not self.lossless:
            total = _wrapped(total)
            folded = total.new_zeros(len(total), 2 * self.width)
            lines, signs = self._fold
            for into, line in zip(folded, total, strict=True):
                lines.add(into, torch.split(line, self.width), signs)
            total = _wrapped(folded)
        return self.layout.total(total)

    def of(self, pieces: Sequence[Tensor | None]) -> Tensor:
        """Sketch a vector; see :meth:`row`."""
        buckets = self.empty()
        for index, place, slab in slabs(pieces):
            self.add(buckets, index, place, slab)
        return self.row(buckets)


class Lines:
    """Where some lines go, and their signs."""

    def __init__(self, random: np.random.Generator, count: int, width: int) -> None:
        self.places: list[int] = random.integers(0, width, size=count).tolist()
        self.signs: list[float] = random.choice(SIGNS, size=count).tolist()

    def add(self, into: Tensor, lines: Sequence[Tensor], signs: Tensor) -> None:
        """Add lines of at most ``width`` numbers to ``2 * width`` buckets, not yet wrapped."""
        for line, place, sign in zip(lines, self.places, self.signs, strict=True):
            size = line.numel()
            its_signs = signs if size == signs.numel() else signs[:size]
            into.narrow(0, place, size).addcmul_(line, its_signs, value=sign)


def _wrapped(buckets: Tensor) -> Tensor:
    half = buckets.shape[1] // 2
    return buckets[:, :half] + buckets[:, half:]


def _slab_sizes(numel: int) -> list[int]:
    return [min(SLAB, numel - start) for start in range(0, numel, SLAB)]
