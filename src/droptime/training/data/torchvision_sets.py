"""Flowers, Pets, STL-10 and Food-101 as torchvision reads them, with their usual splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torchvision import datasets

from droptime.errors import DataError
from droptime.training.data.folder import TEST_NAMES
from droptime.training.data.source import Labels

_TRAIN = ("train", "training")


@dataclass(frozen=True)
class _Known:
    """torchvision's class and what it calls the parts of training and testing."""

    of: str
    train: tuple[str, ...]
    test: tuple[str, ...]


KNOWN: Mapping[str, _Known] = {
    "torch/flowers102": _Known("Flowers102", ("train", "val"), ("test",)),
    "torch/oxford_iiit_pet": _Known("OxfordIIITPet", ("trainval",), ("test",)),
    "torch/stl10": _Known("STL10", ("train",), ("test",)),
    "torch/food101": _Known("Food101", ("train",), ("test",)),
}
"""Name -> where it is read. Flowers train on both of its labelled halves, as is usual."""


@dataclass(frozen=True)
class Parts:
    """Parts of one data set, one after the other."""

    parts: tuple[Any, ...]
    labels: Labels
    classes: tuple[str, ...]
    title: str

    def open(self, index: int) -> Image.Image:
        """Open the image."""
        for part in self.parts:
            if index < len(part):
                image: Image.Image = part[index][0]
                return image
            index -= len(part)
        raise IndexError(index)

    def name(self, index: int) -> str:
        """Return ``image 12 of torch/stl10 (train)``."""
        return f"image {index} of {self.title}"


def load_known(name: str, split: str, *, root: str | None, download: bool) -> Parts:
    """Read one split of a data set of :data:`KNOWN`.

    Raises:
        DataError: there is no such split.
        OSError, RuntimeError: torchvision does not find the data.
    """
    known = KNOWN[name]
    if split not in (*_TRAIN, *TEST_NAMES):
        raise DataError(f"{name} has no split {split!r}: expected train or test.")
    make = getattr(datasets, known.of)
    wanted = known.train if split in _TRAIN else known.test
    parts = tuple(make(root or ".", split=part, download=download) for part in wanted)
    labels = np.concatenate([_labels(part) for part in parts]).astype(np.int64)
    classes = getattr(parts[0], "classes", None) or range(int(labels.max()) + 1)
    return Parts(parts, labels, tuple(map(str, classes)), f"{name} ({split})")


def _labels(part: Any) -> Any:  # noqa: ANN401 - torchvision's data sets
    return part.labels if hasattr(part, "labels") else part._labels
