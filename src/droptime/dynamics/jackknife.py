"""Standard errors by leaving out one gradient at a time.

The mean pairwise cosine is a U-statistic. What is left of it when gradient ``i`` is taken out needs
the sum of its inner products with the others, ``t_i = <x_i, X> - <x_i, x_i>`` with ``X = sum x_i``:
one product for each gradient, none for pairs. They come from the sketches of the gradients.

Source: Arvesen (1969), "Jackknifing U-statistics". The jackknife estimates the first-order
(Hoeffding) part without bias and counts the second-order part twice, so it errs on the safe side;
so does the noise of a sketch, which adds to the spread of the ``t_i``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.floating[Any]]


def with_others(rows: Rows, weights: Rows | None = None) -> Rows:
    """Sum of each row's inner products with the other rows: ``[n, width] -> [n]``.

    Args:
        rows: sketches, which are not copied.
        weights: what to multiply each row by: ``[n]``.
    """
    weights = np.ones(len(rows)) if weights is None else weights
    products = rows @ (weights.astype(rows.dtype) @ rows)
    own = np.einsum("nw,nw->n", rows, rows)
    return np.asarray(weights * (products - weights * own), dtype=np.float64)


def left_out(t: Rows, total: float | None = None) -> Rows:
    """The mean pairwise product without each row in turn: ``[n] -> [n]``, n at least 3."""
    n = len(t)
    whole = float(t.sum()) if total is None else total
    found: Rows = (whole - 2 * t) / ((n - 1) * (n - 2))
    return found


def standard_error(replicates: Rows) -> float:
    """``sqrt((n - 1) / n * sum (u_i - mean u)^2)`` for the ``n`` values with one left out."""
    n = len(replicates)
    spread = float(((replicates - replicates.mean()) ** 2).sum())
    return math.sqrt((n - 1) / n * spread)


def mean_error(values: Rows) -> float:
    """Standard error of a mean of independent values, ``sd / sqrt(n)``; inf for one value."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf


def pairwise_error(rows: Rows) -> float:
    """Standard error of the mean pairwise product of rows; inf for fewer than 3."""
    return standard_error(left_out(with_others(rows))) if len(rows) > 2 else math.inf
