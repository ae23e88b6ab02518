"""GradientDirections: how far gradients point apart, from sums kept in one pass."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from droptime.dynamics.jackknife import Rows, mean_error, pairwise_error, with_others
from droptime.dynamics.noise import NoiseScale, simple_noise_scale
from droptime.dynamics.reference import Reference
from droptime.dynamics.sums import GradientSums
from droptime.dynamics.values import Direction, Value, scale
from droptime.dynamics.vectors import dots, squares
from droptime.errors import ConfigError, GradientError, StatsError


class GradientDirections(GradientSums):
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

    def variance(self, group: str | None = None) -> Direction:
        """Gradient direction variance: the mean cosine distance over all pairs.

        Raises:
            StatsError: fewer than 2 gradients.
            ConfigError: no such group.
        """
        n, rows = self.enough(2), self.rows(group)
        if self.vectors:
            cosine = (self._sum_square(group) - n) / (n * (n - 1))
        else:
            cosine = float(with_others(rows).sum()) / (n * (n - 1))
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
        n, cosines = self.enough(1), self.cosines_to(reference, group=group)
        cosine = float(cosines.mean())
        if self.vectors and reference is not None and reference is not self.reference:
            size = self._reference_norms(reference)
            products = dots(self._units(group), reference.pieces, self.layout)
            cosine = _part(products, self.index_of(group)) / _size(size, self.index_of(group)) / n
        return self._direction(cosine, mean_error(cosines))

    def noise_scale(self, batch_size: float = 1.0, *, group: str | None = None) -> NoiseScale:
        """The simple gradient noise scale, in examples if ``batch_size`` is that of a mini-batch.

        Raises:
            StatsError: fewer than 2 gradients, or they do not agree beyond chance.
            ConfigError: built with ``noise=False``.
        """
        self.enough(2)
        if not self.noise:
            raise ConfigError("noise_scale() needs the sum of gradients: give noise=True.")
        rows, norms = self.rows(group), self.norms(group)
        if self.vectors:
            square = _part(squares(self.sums["plain"], self.layout), self.index_of(group))
        else:
            square = float(with_others(rows, norms).sum() + (norms**2).sum())
        return simple_noise_scale(square, norms, rows, batch_size)

    def noise_scale_or_none(
        self, batch_size: float = 1.0, *, group: str | None = None
    ) -> NoiseScale | None:
        """:meth:`noise_scale`, or None where the gradients do not agree beyond chance."""
        self.enough(2)
        try:
            return self.noise_scale(batch_size, group=group)
        except StatsError:
            return None

    def norm(self, group: str | None = None) -> Value:
        """Mean norm of the gradients.

        Raises:
            StatsError: no gradient was taken in.
        """
        norms = self.norms(group)
        return Value(float(norms.mean()), mean_error(norms), self.enough(1))

    def cosines_to(self, reference: Reference | None = None, *, group: str | None = None) -> Rows:
        """Cosine of each gradient to a reference: ``[n]``; see :meth:`error`.

        Exact for the reference given at the start, else from sketches.
        """
        self.enough(1)
        given = reference or self.reference
        if given is None:
            raise GradientError("error() needs a reference gradient: give reference=.")
        size, index = self._reference_norms(given), self.index_of(group)
        if given is self.reference:
            products = np.array([np.asarray(kept.cosines) for kept in self.kept])
            if index is not None:
                return np.asarray(products[:, index] / _size(size, index))
            shares = self.group_norms() / self.norms()[:, None]
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
        self.check_settings(other)
        count = self.enough(1) * other.enough(1)
        self.layout.check(other.layout, "What is compared")
        if not self.vectors:
            return float(self.rows(group).sum(0) @ other.rows(group).sum(0)) / count
        products = dots(self._units(group), other._units(group), self.layout)
        return _part(products, self.index_of(group)) / count

    def _units(self, group: str | None) -> list[Tensor]:
        grouped = group is not None and "group units" in self.sums
        return self.sums["group units" if grouped else "units"]

    def _sum_square(self, group: str | None) -> float:
        return _part(squares(self._units(group), self.layout), self.index_of(group))

    def _reference_norms(self, reference: Reference) -> Tensor:
        self.layout.check(reference.layout, "The reference", groups=False)
        return squares(reference.pieces, self.layout)

    def _direction(self, cosine: float, error: float) -> Direction:
        factor = scale(self.halved)
        return Direction(factor * (1 - cosine), factor * error, len(self), self.halved)


def _part(values: Tensor, index: int | None) -> float:
    """The value of one group, or of all together."""
    return float(values.sum() if index is None else values[index])


def _size(powers: Tensor, index: int | None) -> float:
    power = _part(powers, index)
    if power == 0:
        raise GradientError("The reference gradient is zero there: it has no direction.")
    return math.sqrt(power)
