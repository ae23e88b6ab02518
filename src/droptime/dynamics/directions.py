"""GradientDirections: how far gradients point apart, from sums kept in one pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from droptime.dynamics.jackknife import Rows, mean_error, pairwise_error
from droptime.dynamics.noise import NoiseScale, simple_noise_scale
from droptime.dynamics.reference import Reference, tensors_of
from droptime.dynamics.sketch import WIDTH, Sketch
from droptime.dynamics.values import Direction, Value, scale
from droptime.dynamics.vectors import (
    Gradients,
    Groups,
    Layout,
    add,
    dots,
    named_gradients,
    squares,
    zeros,
)
from droptime.errors import ConfigError, DivergedError, GradientError, StateError, StatsError


@dataclass(frozen=True)
class Kept:
    """What is kept of one gradient.

    Attributes:
        norms: norm of each group: ``[groups]``.
        row: sketch of each group's unit vector: ``[groups, sketch]``.
        cosines: cosine to the reference in each group, times the reference's norm: ``[groups]``.
    """

    norms: Tensor
    row: Tensor
    cosines: Tensor | None


class GradientDirections:
    """Gradient direction variance and error of a stream of mini-batch gradients.

    With unit vectors ``u_i = g_i / ||g_i||`` of ``n`` gradients, ``S = sum u_i``, and ``c`` = 1/2
    (halved) or 1:

        variance (GDV)  c * (1 - (||S||^2 - n) / (n (n - 1)))     mean over all pairs of c (1 - cos)
        error (GDE)     c * (1 - <S, r> / (n ||r||))              mean distance to a reference r

    A parameter without a gradient counts as zero, which its gradient is.

    Args:
        groups: also measure parts of the model, each as a vector of its own: ``"layer"``, a list of
            patterns of parameter names (the first match counts; the rest are ``"other"``), or a
            function from a parameter's name to its group's.
        reference: a gradient to measure the error to. Given here, each gradient's cosine to it is
            taken exactly as it comes; given to :meth:`error` instead, the standard error rests on
            sketches.
        noise: keep the plain sum of gradients too, for :meth:`noise_scale`.
        halved: the scale of every direction: ``(1 - cos) / 2``, from 0 to 1, or ``1 - cos``.
        vectors: keep sums of the length of the model. False keeps sketches alone, for models too
            large: values then have the sketch's error.
        sketch: numbers kept of each gradient; see :class:`~droptime.dynamics.sketch.Sketch`. With
            as many as the model has parameters, each gradient is kept exactly.
        seed: of the sketch.

    Values are exact to float64 rounding (with ``vectors``) and do not depend on order, shards or
    ranks. Standard errors are jackknives over the gradients' sketches, see
    :mod:`droptime.dynamics.jackknife`.

    Memory: one float64 vector of the model's length; another with ``noise``, another with
    ``groups``; none without ``vectors``; and ``groups * sketch`` numbers a gradient.
    Cost of an update: three to five passes over the gradient, no backward pass.

    >>> import torch
    >>> directions = GradientDirections()
    >>> for x in ([1.0, 0.0], [1.0, 1.0], [0.0, 1.0]):
    ...     directions.update({"weight": torch.tensor(x)})
    >>> gdv = directions.variance()
    >>> round(gdv.value, 4), gdv.n, gdv.halved
    (0.2643, 3, True)
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
        layout = self.layout
        assert self._sketch is not None
        pieces = layout.pieces(named)
        powers = squares(pieces, layout)
        _check(powers, layout, named)
        norms = powers.sqrt()
        whole = math.sqrt(float(powers.sum()))
        row = self._sketch.of(pieces) / norms[:, None]
        for name, into in self.sums.items():
            factors = {"units": 1 / whole, "plain": 1.0}.get(name)
            by_group = [factors or 1 / float(norms[owner]) for owner in layout.owners]
            add(into, pieces, by_group)
        cosines = None
        if self.reference is not None:
            cosines = dots(pieces, self.reference.pieces, layout) / norms
        self.kept.append(Kept(norms, row, cosines))

    def merge(self, other: GradientDirections) -> Self:
        """Take in the gradients of another, measured in the same way; the other stays as it is.

        Raises:
            StateError: it was not measured in the same way, or is of another model.
        """
        self._check_settings(other)
        if other._layout is None:
            return self
        if self._layout is None:
            self._lay_out(other._layout, next(iter(other.sums.values()), []))
        self.layout.check(other._layout, "What is merged")
        for name, pieces in self.sums.items():
            add(pieces, other.sums[name], [1.0] * len(pieces))
        self.kept += other.kept
        return self

    def variance(self, group: str | None = None) -> Direction:
        """Gradient direction variance: the mean cosine distance over all pairs.

        Raises:
            StatsError: fewer than 2 gradients.
            ConfigError: no such group.
        """
        n, rows = self._enough(2), self.rows(group)
        if self.vectors:
            cosine = (self._sum_square(group) - n) / (n * (n - 1))
        else:
            cosine = float((rows.sum(0) ** 2).sum() - (rows**2).sum()) / (n * (n - 1))
        return self._direction(cosine, pairwise_error(rows))

    def error(self, reference: Reference | None = None, *, group: str | None = None) -> Direction:
        """Gradient direction error: the mean cosine distance to a reference gradient.

        Given the reference, the distances are independent: the standard error is ``sd / sqrt(n)``.

        Args:
            reference: by default the one given at the start.
            group: of parameters; by default all.

        Raises:
            StatsError: no gradient was taken in.
            StateError: the reference is of another model.
            GradientError: no reference was given, or its part in the group is zero.
        """
        n, cosines = self._enough(1), self.cosines_to(reference, group=group)
        cosine = float(cosines.mean())
        if self.vectors and reference is not None and reference is not self.reference:
            size = self._reference_norms(reference)
            products = dots(self._units(group), reference.pieces, self.layout)
            cosine = _part(products, self._index(group)) / _size(size, self._index(group)) / n
        return self._direction(cosine, mean_error(cosines))

    def noise_scale(self, batch_size: float = 1.0, *, group: str | None = None) -> NoiseScale:
        """The simple gradient noise scale, in examples if ``batch_size`` is that of a mini-batch.

        Raises:
            StatsError: fewer than 2 gradients, or they do not agree beyond chance.
            ConfigError: built with ``noise=False``.
        """
        self._enough(2)
        if not self.noise:
            raise ConfigError("noise_scale() needs the sum of gradients: give noise=True.")
        rows, norms = self.rows(group), self.norms(group)
        if self.vectors:
            square = _part(squares(self.sums["plain"], self.layout), self._index(group))
        else:
            scaled = rows * norms[:, None]
            lost = float((norms**2).sum() - (scaled**2).sum())
            square = float((scaled.sum(0) ** 2).sum()) + lost
        return simple_noise_scale(square, norms, rows, batch_size)

    def norm(self, group: str | None = None) -> Value:
        """Mean norm of the gradients.

        Raises:
            StatsError: no gradient was taken in.
        """
        norms = self.norms(group)
        return Value(float(norms.mean()), mean_error(norms), self._enough(1))

    def norms(self, group: str | None = None) -> Rows:
        """Norm of each gradient: ``[n]``."""
        self._enough(1)
        norms, index = self._group_norms(), self._index(group)
        return np.asarray(norms[:, index] if index is not None else np.sqrt((norms**2).sum(1)))

    def cosines_to(self, reference: Reference | None = None, *, group: str | None = None) -> Rows:
        """Cosine of each gradient to a reference: ``[n]``; see :meth:`error`.

        Exact for the reference given at the start, else from sketches.
        """
        self._enough(1)
        given = reference or self.reference
        if given is None:
            raise GradientError("error() needs a reference gradient: give reference=.")
        size, index = self._reference_norms(given), self._index(group)
        if given is self.reference:
            products = np.array([np.asarray(kept.cosines) for kept in self.kept])
            if index is not None:
                return np.asarray(products[:, index] / _size(size, index))
            shares = self._group_norms() / self.norms()[:, None]
            return np.asarray((products * shares).sum(1) / _size(size, None))
        assert self._sketch is not None
        target = self._sketch.of(given.pieces).numpy()
        row = target[index] if index is not None else target.sum(0)
        return np.asarray(self.rows(group) @ row / _size(size, index))

    def cosines(self, *, group: str | None = None) -> Rows:
        """Cosines of all pairs: ``[n, n]``.

        Exact if ``sketch`` is at least the number of parameters, else from sketches, each with a
        standard error of about ``1 / sqrt(sketch)``.
        """
        rows = self.rows(group)
        found: Rows = rows @ rows.T
        return found

    def mean_cosine(self, other: GradientDirections, *, group: str | None = None) -> float:
        """Mean cosine between a gradient here and a gradient there: ``<S, S'> / (n n')``.

        Raises:
            StateError: the other was not measured in the same way, or is of another model.
        """
        self._check_settings(other)
        count = self._enough(1) * other._enough(1)
        self.layout.check(other.layout, "What is compared")
        if not self.vectors:
            return float(self.rows(group).sum(0) @ other.rows(group).sum(0)) / count
        products = dots(self._units(group), other._units(group), self.layout)
        return _part(products, self._index(group)) / count

    def rows(self, group: str | None = None) -> Rows:
        """Sketch of each unit vector: ``[n, sketch]``."""
        self._enough(1)
        rows, index = torch.stack([kept.row for kept in self.kept]).numpy(), self._index(group)
        if index is not None:
            return np.asarray(rows[:, index])
        if len(self.layout.groups) == 1:
            return np.asarray(rows[:, 0])
        shares = self._group_norms() / self.norms()[:, None]
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

    def _check_settings(self, other: GradientDirections) -> None:
        for name in ("halved", "noise", "vectors", "sketch_width", "seed"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise StateError(
                    f"Cannot be combined: {name.removesuffix('_width')} is {ours} here, {theirs} "
                    "there. Build both in the same way."
                )
        if not _same(self.reference, other.reference):
            raise StateError("Cannot be combined: they were given different references.")

    def _enough(self, least: int) -> int:
        if len(self) < least:
            raise StatsError(
                f"{len(self)} gradient(s) were taken in: this needs at least {least}. Call "
                "update() after each backward()."
            )
        return len(self)

    def _group_norms(self) -> Rows:
        """``[n, groups]``."""
        return np.asarray(torch.stack([kept.norms for kept in self.kept]).numpy())

    def _index(self, group: str | None) -> int | None:
        return None if group is None else self.layout.index(group)

    def _units(self, group: str | None) -> list[Tensor]:
        grouped = group is not None and "group units" in self.sums
        return self.sums["group units" if grouped else "units"]

    def _sum_square(self, group: str | None) -> float:
        return _part(squares(self._units(group), self.layout), self._index(group))

    def _reference_norms(self, reference: Reference) -> Tensor:
        self.layout.check(reference.layout, "The reference", groups=False)
        return squares(reference.pieces, self.layout)

    def _direction(self, cosine: float, error: float) -> Direction:
        factor = scale(self.halved)
        return Direction(factor * (1 - cosine), factor * error, len(self), self.halved)


def _same(left: Reference | None, right: Reference | None) -> bool:
    if left is right or left is None or right is None:
        return left is right
    return all(map(torch.equal, left.pieces, right.pieces))


def _part(values: Tensor, index: int | None) -> float:
    """The value of one group, or of all together."""
    return float(values.sum() if index is None else values[index])


def _size(powers: Tensor, index: int | None) -> float:
    power = _part(powers, index)
    if power == 0:
        raise GradientError("The reference gradient is zero there: it has no direction.")
    return math.sqrt(power)


def _check(powers: Tensor, layout: Layout, named: Mapping[str, Tensor | None]) -> None:
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
