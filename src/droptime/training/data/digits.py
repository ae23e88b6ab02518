"""The handwritten digits that come with scikit-learn: 1797 real images of 8 x 8 pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from droptime.errors import MissingExtraError
from droptime.training.data.source import Labels, Pixels

SIDE = 8


@dataclass(frozen=True)
class Digits:
    """All 1797 digits, in the order of the file.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998.
    """

    pixels: Pixels
    labels: Labels
    classes: tuple[str, ...]

    def open(self, index: int) -> Image.Image:
        """Return the digit as an 8 x 8 grey image."""
        return Image.fromarray(self.pixels[index])

    def name(self, index: int) -> str:
        """Return ``digit 12``."""
        return f"digit {index}"


def load_digits() -> Digits:
    """Read the digits, their 17 grey levels stretched to 0..255.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "train", "The digits data set") from error
    bunch = datasets.load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    labels = np.asarray(bunch.target, dtype=np.int64)
    return Digits(pixels, labels, tuple(str(name) for name in bunch.target_names))
