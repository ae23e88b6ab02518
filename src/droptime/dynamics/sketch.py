"""A short seeded sketch of a long vector, whose inner products are those of the vector nearly."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from droptime.dynamics.layout import Layout
from droptime.dynamics.vectors import SLAB
from droptime.errors import ConfigError

WIDTH = 4096


class Sketch:
    """A count sketch: every number, with a random sign, is added to one of ``width`` buckets.

    Each piece is cut into lines of ``width`` numbers. Line ``r`` is multiplied by the signs
    ``s_r * b`` and added to the buckets from ``o_r`` on, wrapping around, so that

        Cx[k] = sum_r  s_r * b[k - o_r] * x_r[k - o_r]          indices mod width

    with ``s_r`` in {-1, 1}, ``b`` in {-1, 1}^width and ``o_r`` in {0, ..., width - 1} drawn from
    the seed. Two numbers of one line never meet; two of different lines meet with probability
    1/width. For any fixed ``x`` and ``y``, over seeds,

        E <Cx, Cy> = <x, y>          sd <Cx, Cy> <= sqrt(6 / width) * ||x|| * ||y||

    (about ``1 / sqrt(width)`` for unrelated vectors). A vector that fits in
    ``width`` numbers is kept as it is, and nothing is lost.

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
        self._signs = torch.from_numpy(common.choice([-1.0, 1.0], size=width))
        lines = [math.ceil(size / width) for size in layout.sizes]
        self._places = [own.integers(0, width, size=n).tolist() for n in lines]
        self._line_signs = [own.choice([-1.0, 1.0], size=n).tolist() for n in lines]

    def of(self, pieces: Sequence[Tensor | None]) -> Tensor:
        """Sketch a vector: ``[groups, width]``, float64, on the CPU. Sum groups for the whole."""
        return self._copy(pieces) if self.lossless else self._hash(pieces)

    def _copy(self, pieces: Sequence[Tensor | None]) -> Tensor:
        found = torch.zeros(len(self.layout.groups), self.width, dtype=torch.float64)
        start = 0
        for owner, size, piece in zip(self.layout.owners, self.layout.sizes, pieces, strict=True):
            if piece is not None:
                found[owner, start : start + size] = piece.cpu()
            start += size
        return found

    def _hash(self, pieces: Sequence[Tensor | None]) -> Tensor:
        buckets: dict[torch.device, Tensor] = {}
        shape = len(self.layout.groups), 2 * self.width
        for index, piece in enumerate(pieces):
            if piece is None or not piece.numel():
                continue
            if piece.device not in buckets:
                buckets[piece.device] = torch.zeros(shape, dtype=torch.float64, device=piece.device)
            into = buckets[piece.device][self.layout.owners[index]]
            signs = self._signs.to(piece.device)
            lines = (line for slab in _slabs(piece, self.width) for line in slab)
            places, line_signs = self._places[index], self._line_signs[index]
            for line, place, sign in zip(lines, places, line_signs, strict=True):
                size = line.numel()
                its_signs = signs if size == self.width else signs[:size]
                into.narrow(0, place, size).addcmul_(line, its_signs, value=sign)
        total = torch.zeros(shape, dtype=torch.float64)
        for found in buckets.values():
            total += found.cpu()
        folded = total[:, : self.width] + total[:, self.width :]
        return self.layout.total(folded)


def _slabs(piece: Tensor, width: int) -> Iterator[Sequence[Tensor]]:
    """Lines of a piece in float64, converted some 2^18 numbers at a time."""
    for slab in torch.split(piece, max(SLAB // width, 1) * width):
        yield torch.split(slab.double(), width)
