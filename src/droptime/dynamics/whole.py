"""The gradient of a whole data set, or of a sample of it, with dropout in inference mode."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from typing import Any

import numpy as np
from torch import nn

from droptime.dynamics.data import SizeFn, check_repeatable, size_of, walk
from droptime.dynamics.directions import GradientDirections
from droptime.dynamics.jackknife import left_out, standard_error, with_others
from droptime.dynamics.layout import Layout
from droptime.dynamics.passes import LossFn, check_off, loss_gradient, measuring
from droptime.dynamics.ranks import over_ranks, summed, summed_numbers
from droptime.dynamics.reference import Reference
from droptime.dynamics.switch import dropout_off
from droptime.dynamics.values import Value
from droptime.dynamics.vectors import add, parameters, squares, zeros
from droptime.errors import ConfigError, DataError


def whole_gradient(
    model: nn.Module,
    loss_fn: LossFn,
    data: Iterable[Any],
    *,
    sample: int | None = None,
    dropout: bool = False,
    size: SizeFn | None = None,
    seed: int = 0,
    ranks: bool = False,
) -> Reference:
    """Return the gradient of the mean loss over all of ``data``, with dropout in inference mode.

        g = sum_b (n_b / N) g_b          g_b of batch b, whose mean loss is over n_b of N examples

    Exact for a loss that is a mean over examples and a model that treats them one by one (batch
    normalisation in training mode does not). Batches may be as small as memory asks.

    Args:
        model: wrapped or not; left exactly as it is.
        loss_fn: ``loss_fn(model, batch)``, the mean loss of a batch.
        data: batches, to be walked more than once: a loader of its own or a list.
        sample: take only so many batches, the first of the walk; shuffle in the loader. The
            reference then says how well it is aligned with the whole: see
            :attr:`Reference.alignment`. The whole is ``len(data)`` batches, none of them taken
            twice; endless where that is not known.
        dropout: keep dropout active.
        size: from a batch to the number its mean is over; by default the length of its first
            tensor. For a mean over tokens, their number.
        seed: of every random stream meanwhile; the run's own streams are given back.
        ranks: the data of all processes of a data-parallel run; each walks its share.

    Raises:
        DataError: the data is empty, cannot be walked twice or has too few batches for the sample.
        ConfigError: the loss is not one number, or the sample is not a whole number above 1.
        SiteError: the model drops where droptime finds no rate.
        DivergedError, GradientError: the gradient is not finite, or zero.

    Cost: one forward and backward pass over the data. Memory: one float64 vector; for a sample a
    second, and a sketch of each batch.

    >>> import torch
    >>> from torch import nn
    >>> model = nn.Linear(2, 1, bias=False)
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
    >>> whole = whole_gradient(model, lambda m, x: m(x).mean(), x.split(2))
    >>> whole.examples, whole.pieces[0]
    (3, tensor([0.3333, 1.3333], dtype=torch.float64))
    """
    with measuring(model) as bare:
        batch = check_repeatable(data)
        if not dropout:
            check_off(bare, loss_fn, batch)
        return gradient_of_all(
            bare,
            loss_fn,
            data,
            sample=sample,
            dropout=dropout,
            size=size,
            seed=(seed,),
            ranks=ranks,
        )


def gradient_of_all(
    model: nn.Module,
    loss_fn: LossFn,
    data: Iterable[Any],
    *,
    sample: int | None = None,
    dropout: bool = False,
    size: SizeFn | None = None,
    seed: Sequence[int] = (0,),
    ranks: bool = False,
) -> Reference:
    """As :func:`whole_gradient`, on a bare model that is being measured."""
    if sample is not None and (type(sample) is not int or sample < 2):
        raise ConfigError(f"sample={sample!r}: expected a whole number of batches, at least 2.")
    named = parameters(model)
    layout = Layout.of(named)
    total, examples, loss_sum, batches = zeros(layout, list(named.values())), 0.0, 0.0, 0
    parts = GradientDirections().begin(named) if sample else None
    with ExitStack() as stack:
        if not dropout:
            stack.enter_context(dropout_off(model))
        for batch in itertools.islice(stack.enter_context(closing(walk(data, seed))), sample):
            weight = (size or size_of)(batch)
            if not weight > 0:
                raise DataError(f"size= gave {weight!r} for a batch: expected a number above 0.")
            loss, gradients = loss_gradient(model, loss_fn, batch)
            add(total, layout.pieces(gradients), weight)
            if parts is not None:
                parts.update(gradients)
            examples, loss_sum, batches = examples + weight, loss_sum + weight * loss, batches + 1
    if not batches or (sample and batches < sample):
        wanted = sample or "at least 1"
        raise DataError(f"data gave {batches} batches on this walk; expected {wanted}.")
    whole = _length(data)
    if ranks:
        total = summed(total)
        examples, loss_sum, whole = summed_numbers(examples, loss_sum, whole)
        parts = None if parts is None else over_ranks(parts)
    for piece in total:
        piece /= examples
    if layout.mesh is not None:  # each process saw its part of every batch
        examples, loss_sum = summed_numbers(examples, loss_sum)
    return Reference(
        layout,
        tuple(total),
        examples=int(examples),
        loss=loss_sum / examples,
        alignment=Value(1.0, 0.0, batches) if parts is None else _alignment(parts, whole),
    ).checked()


def _length(data: Iterable[Any]) -> float:
    """How many batches there are, infinite where data does not tell."""
    try:
        return len(data)  # type: ignore[arg-type]
    except TypeError:
        return math.inf


def _alignment(parts: GradientDirections, whole: float) -> Value:
    """Cosine of a sample's mean gradient to that of all ``whole`` batches it was drawn from.

        sqrt(square(whole) / square(n))        square(m) = signal + noise / m

    ``square(m)`` estimates the squared norm of the mean of ``m`` batches, drawn without replacement
    as the sample was. 0 with no bound on its error if the batches do not agree beyond chance.
    """
    n, norms = len(parts), parts.norms()
    powers, whole = norms**2, max(whole, n)
    sum_square = float(squares(parts.sums["plain"], parts.layout).sum())
    total, power = sum_square - powers.sum(), powers.mean()
    signal = total / (n * (n - 1))
    if signal + (power - signal) / whole <= 0:
        return Value(0.0, math.inf, n)
    cosine = np.sqrt((signal + (power - signal) / whole) / (sum_square / n**2))
    error = math.inf
    if n > 2:
        signals = left_out(with_others(parts.rows(), norms), total)
        noises = (powers.sum() - powers) / (n - 1) - signals
        ratios = (signals + noises / whole) / (signals + noises / (n - 1))
        error = standard_error(np.sqrt(ratios)) if (ratios > 0).all() else math.inf
    return Value(float(cosine), error, n)
