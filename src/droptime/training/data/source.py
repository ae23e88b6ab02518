"""A source is a labelled list of images not yet decoded; here it becomes uint8 arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from droptime.errors import DataError

Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]

_MODES = {1: "L", 3: "RGB"}


class Source(Protocol):
    """Images by index, their labels and the names of the classes."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; a label is a position here."""

    @property
    def labels(self) -> Labels:
        """One label per image, ``[n]``."""

    def open(self, index: int) -> Image.Image:
        """Open one image, in whatever size and mode it has."""

    def name(self, index: int) -> str:
        """What to call the image in an error: its path, or its place in the data set."""


@dataclass(frozen=True)
class Subset:
    """Some images of another source, in the order given."""

    whole: Source
    indices: Indices

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the whole."""
        return self.whole.classes

    @property
    def labels(self) -> Labels:
        """One label per image, ``[n]``."""
        return self.whole.labels[self.indices]

    def open(self, index: int) -> Image.Image:
        """Open one image of the whole."""
        return self.whole.open(int(self.indices[index]))

    def name(self, index: int) -> str:
        """Name it as the whole does."""
        return self.whole.name(int(self.indices[index]))


def decode(source: Source, index: int, *, size: int, channels: int) -> Pixels:
    """Decode one image: its centred square, resized (bicubic), ``[channels, size, size]``.

    Raises:
        DataError: the image cannot be read; the message names it.
    """
    try:
        with source.open(index) as opened:
            image = _in_mode(opened, _MODES[channels])
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{source.name(index)} cannot be read as an image ({error}): mend it or remove it."
        ) from error
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), method=Image.Resampling.BICUBIC)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def decode_all(source: Source, *, size: int, channels: int) -> Pixels:
    """Decode every image into one array ``[n, channels, size, size]``.

    Raises:
        DataError: an image cannot be read; the message names it.
    """
    pixels = np.empty((len(source.labels), channels, size, size), dtype=np.uint8)
    for index in range(len(pixels)):
        pixels[index] = decode(source, index, size=size, channels=channels)
    return pixels


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(mode)
