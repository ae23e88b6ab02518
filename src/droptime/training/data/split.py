"""Stratified choices: every class keeps its share, and the same seed makes the same choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from droptime.errors import DataError
from droptime.training.data.source import Indices, Labels


def hold_out(
    labels: Labels, fraction: float, *, seed: int, classes: Sequence[str] = ()
) -> tuple[Indices, Indices]:
    """Split indices into (kept, held out), holding out ``fraction`` of every class.

    At least one image of each class is on either side. Both parts are sorted. ``classes`` are what
    an error calls them.

    Raises:
        DataError: a class has fewer than two images.
    """
    held = np.zeros(len(labels), dtype=bool)
    for label, members in _by_class(labels, seed):
        if len(members) < 2:
            raise DataError(
                f"Class {classes[label] if classes else label} has {len(members)} image: two or "
                "more are needed to hold some out for testing."
            )
        count = min(max(round(len(members) * fraction), 1), len(members) - 1)
        held[members[:count]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def choose(labels: Labels, count: int, *, seed: int) -> Indices:
    """Choose ``count`` indices, classes in proportion and none left out; sorted.

    Raises:
        DataError: more images are asked for than there are, or fewer than there are classes.

    >>> choose(np.array([0, 0, 0, 0, 1, 1]), 3, seed=0).shape
    (3,)
    """
    groups = _by_class(labels, seed)
    if not len(groups) <= count <= len(labels):
        raise DataError(
            f"A subset of {count} images was asked for, of {len(labels)} images in {len(groups)} "
            f"classes: choose a limit from {len(groups)} to {len(labels)}."
        )
    spare = np.array([len(members) - 1 for _, members in groups])
    quota = (count - len(groups)) * spare / max(spare.sum(), 1)
    shares = np.floor(quota).astype(np.int64)
    largest_remainders = np.argsort(shares - quota, kind="stable")
    shares[largest_remainders[: count - len(groups) - shares.sum()]] += 1
    chosen = [members[: 1 + share] for (_, members), share in zip(groups, shares, strict=True)]
    return np.sort(np.concatenate(chosen))


def _by_class(labels: Labels, seed: int) -> list[tuple[int, Indices]]:
    """Return (label, its indices in a seeded random order) for every class present."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    return [(int(label), shuffled[labels[shuffled] == label]) for label in np.unique(labels)]
