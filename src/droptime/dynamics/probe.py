"""GradientProbe: measure a training run's gradients every n steps, and leave no trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from torch import Tensor, nn

from droptime.dynamics.data import SizeFn, check_repeatable, seed_streams, size_of, walk
from droptime.dynamics.directions import GradientDirections
from droptime.dynamics.distance import distance_from, snapshot
from droptime.dynamics.layout import Groups
from droptime.dynamics.paired import error_effect, variance_effect
from droptime.dynamics.passes import LossFn, check_off, loss_gradient, measuring
from droptime.dynamics.ranks import over_ranks
from droptime.dynamics.record import Dynamics, Part
from droptime.dynamics.reference import Reference
from droptime.dynamics.sketch import WIDTH
from droptime.dynamics.switch import dropout_off, dropping
from droptime.dynamics.vectors import parameters
from droptime.dynamics.whole import gradient_of_all
from droptime.errors import ConfigError, DataError


class GradientProbe:
    """Measure gradient directions, norm and distance at a model's weights, every n steps.

    At each due step the probe takes, at the weights of that moment, the gradients of ``batches``
    mini-batches with dropout active (GDV, norm, noise scale), the gradient of the whole data set
    with dropout in inference mode (GDE), and, paired, the same mini-batches with dropout in
    inference mode: what dropout does to direction here is one number with an interval.

    The run goes on as if it had not been measured, bit for bit: random streams, gradients, buffers,
    flags and rates are as they were. Give the probe a loader of its own (a loader with
    ``persistent_workers`` cannot be walked by two).

    Args:
        model: the model in training, wrapped or not; a model in eval mode is measured in training
            mode.
        loss_fn: ``loss_fn(model, batch)``, the mean loss of a batch as in training (autocast
            included), without ``backward()``.
        data: batches of the training set; walked from the start at every measurement. The first
            ``batches`` of a walk are the mini-batches, so let the loader shuffle. A batch smaller
            than the first is passed over there.
        batches: how many mini-batches (K), at least 2.
        every: measure at steps divisible by it.
        reference: True for the gradient of all of ``data``; a whole number for that of so many of
            its batches, the first of another walk; False for none, and no GDE.
        paired: also measure the same mini-batches without dropout.
        noise: also measure the noise scale.
        distance: also measure the distance from ``start``.
        start: weights to measure the distance from; by default those of the moment the probe is
            built. Give the initial weights when a run is resumed.
        groups: also measure parts of the model; see :class:`GradientDirections`.
        halved: whether directions are ``(1 - cos) / 2`` or ``1 - cos``.
        vectors: False keeps sketches in place of sums; for models too large.
        sketch: numbers kept of each gradient.
        size: from a batch to the number its mean loss is over; see :func:`whole_gradient`.
        seed: of everything drawn while measuring: the same seed and step give the same batches.
        ranks: the processes of a data-parallel run measure together, each with its share of the
            data and ``batches`` mini-batches of its own. All must call the probe.

    Raises:
        ConfigError: an argument makes no sense.
        DataError: the data is empty or can be walked only once.
        SiteError: paired or with a reference, the model drops where droptime finds no rate.

    Cost of a measurement, in forward and backward passes: ``batches``, twice if paired while
    some rate is above 0, and one epoch for an exact reference. Memory, in float64 vectors of the
    model's length: one, and one each for the reference, noise and pair; with groups another, and
    another for the pair; and the start in its own precision.

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    >>> data = list(torch.randn(16, 2, 4))
    >>> probe = GradientProbe(model, lambda m, x: m(x).square().mean(), data, batches=8, every=10)
    >>> found = probe.step(0)
    >>> 0 < found.variance.value < 1, found.error_effect.n, found.halved
    (True, 8, True)
    >>> probe.step(1) is None
    True
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFn,
        data: Iterable[Any],
        *,
        batches: int = 100,
        every: int = 1,
        reference: bool | int = True,
        paired: bool = True,
        noise: bool = True,
        distance: bool = True,
        start: Mapping[str, Tensor] | None = None,
        groups: Groups = None,
        halved: bool = True,
        vectors: bool = True,
        sketch: int = WIDTH,
        size: SizeFn | None = None,
        seed: int = 0,
        ranks: bool = False,
    ) -> None:
        _whole_number("batches", batches, least=2)
        _whole_number("every", every, least=1)
        if not isinstance(reference, bool):
            _whole_number("reference", reference, least=2)
        self.model, self.loss_fn, self.data = model, loss_fn, data
        self.batches, self.every, self.seed, self.size = batches, every, seed, size
        self.reference, self.paired, self.ranks = reference, paired, ranks
        self.noise, self.groups, self.halved = noise, groups, halved
        self.vectors, self.sketch = vectors, sketch
        with measuring(model) as bare:
            seed_streams(seed)
            batch = check_repeatable(data)
            self._directions(None, noise=noise).begin(parameters(bare))
            if paired or reference is not False:
                check_off(bare, loss_fn, batch)
            self.start = (snapshot(bare) if start is None else start) if distance else None
            if self.start is not None:
                distance_from(bare, self.start)

    def step(self, step: int) -> Dynamics | None:
        """Measure if the step is due, after the optimizer's step or before it; else do nothing.

        Raises:
            DataError: the data has too few batches.
            DivergedError, GradientError: a gradient is not finite, or has no direction.
        """
        _whole_number("step", step, least=0)
        return None if step % self.every else self(step)

    def __call__(self, step: int) -> Dynamics:
        """Measure now; ``step`` labels the result and seeds what is drawn."""
        with measuring(self.model) as bare:
            reference = self._reference(bare, step)
            on, off, size = self._walk(bare, step, reference)
            start = self.start
            far = {} if start is None else distance_from(bare, start, groups=self.groups)
        whole, *parts = (self._part(on, off, size, far, group) for group in (None, *on.groups))
        return Dynamics(
            **vars(whole),
            step=step,
            batches=len(on),
            batch_size=size,
            halved=on.halved,
            groups=dict(zip(on.groups, parts, strict=True)),
            reference=None if reference is None else reference.summary,
        )

    def _reference(self, model: nn.Module, step: int) -> Reference | None:
        if self.reference is False:
            return None
        return gradient_of_all(
            model,
            self.loss_fn,
            self.data,
            sample=None if self.reference is True else self.reference,
            size=self.size,
            seed=(self.seed, step, 0),
            ranks=self.ranks,
        )

    def _walk(
        self, model: nn.Module, step: int, reference: Reference | None
    ) -> tuple[GradientDirections, GradientDirections, float]:
        """Gradients of the mini-batches with dropout and without; the same where nothing drops."""
        named, numbers, first = parameters(model), (self.seed, step, 1), 0.0
        on = self._directions(reference, noise=self.noise).begin(named)
        drops = self.paired and bool(dropping(model))
        off = self._directions(reference, noise=False).begin(named) if drops else on
        with closing(walk(self.data, numbers)) as batches:
            for index, batch in enumerate(batches):
                size = (self.size or size_of)(batch)
                first = first or size
                if self.size is None and size < first:
                    continue
                on.update(loss_gradient(model, self.loss_fn, batch)[1])
                if off is not on:
                    seed_streams(*numbers, index, 1)
                    with dropout_off(model):
                        off.update(loss_gradient(model, self.loss_fn, batch)[1])
                if len(on) == self.batches:
                    break
        if len(on) < self.batches:
            raise DataError(
                f"data holds {len(on)} batches of {first:g}, fewer than batches={self.batches}: "
                "give more data, smaller mini-batches or a smaller batches=."
            )
        shards = 1 if on.layout.mesh is None else on.layout.mesh.size()
        if self.ranks:
            merged = over_ranks(on)
            on, off = merged, merged if off is on else over_ranks(off)
        return on, off, first * shards

    def _directions(self, reference: Reference | None, *, noise: bool) -> GradientDirections:
        return GradientDirections(
            groups=self.groups,
            reference=reference,
            noise=noise,
            halved=self.halved,
            vectors=self.vectors,
            sketch=self.sketch,
        )

    def _part(
        self,
        on: GradientDirections,
        off: GradientDirections,
        size: float,
        distances: Mapping[str, float],
        group: str | None,
    ) -> Part:
        against, paired = on.reference is not None, self.paired
        return Part(
            gradient_norm=on.norm(group),
            variance=on.variance(group),
            error=on.error(group=group) if against else None,
            noise_scale=on.noise_scale_or_none(size, group=group) if self.noise else None,
            distance=distances.get(group or ""),
            variance_without=off.variance(group) if paired else None,
            error_without=off.error(group=group) if paired and against else None,
            variance_effect=variance_effect(on, off, group=group) if paired else None,
            error_effect=error_effect(on, off, group=group) if paired and against else None,
        )


def _whole_number(name: str, value: object, *, least: int) -> None:
    if type(value) is not int or value < least:
        raise ConfigError(f"{name}={value!r}: expected a whole number, at least {least}.")
