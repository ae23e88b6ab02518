"""Slow, obvious twins of the direction estimators: all gradients stored, all pairs formed."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]


def cosine(a: Vectors, b: Vectors) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def variance(gradients: Vectors, *, halved: bool = True) -> float:
    distances = [1 - cosine(a, b) for a, b in itertools.combinations(gradients, 2)]
    return float(np.mean(distances)) * (0.5 if halved else 1.0)


def error(gradients: Vectors, reference: Vectors, *, halved: bool = True) -> float:
    distances = [1 - cosine(g, reference) for g in gradients]
    return float(np.mean(distances)) * (0.5 if halved else 1.0)


def jackknife(statistic: object, *sides: Vectors) -> float:
    """Standard error of a statistic of rows, by computing it anew without each row."""
    n = len(sides[0])
    values = [
        statistic(*(np.delete(side, i, axis=0) for side in sides))  # type: ignore[operator]
        for i in range(n)
    ]
    return float(np.sqrt((n - 1) / n * np.sum((np.array(values) - np.mean(values)) ** 2)))


def noise_scale(gradients: Vectors, batch: float = 1.0) -> float:
    """McCandlish et al., appendix A.1, in their letters: small batches and all of them as one."""
    n = len(gradients)
    small, big = batch, batch * n
    g_small = float(np.mean(np.sum(gradients**2, axis=1)))
    g_big = float(np.sum(gradients.mean(0) ** 2))
    square = (big * g_big - small * g_small) / (big - small)
    trace = (g_small - g_big) / (1 / small - 1 / big)
    return trace / square
