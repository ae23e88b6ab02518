"""A source is a labelled list of images not yet decoded; here it becomes uint8 arrays."""

from __future__ import annotations

from collections.abc import Sequence
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


def decode(source: Source, index: int, *, size: int, channels: int, crop: float = 1.0) -> Pixels:
    """Decode one image: its centred square, resized (bicubic), ``[channels, size, size]``.

    Args:
        source: where it is.
        index: which it is.
        size: side of the result in pixels.
        channels: 1 or 3.
        crop: part of the shorter side that the square has; below 1 the image is resized first,
            its shorter side to ``int(size / crop)``, and then cut, as timm does.

    Raises:
        DataError: the image cannot be read; the message names it.
    """
    image = open_image(source, index, channels=channels)
    return to_pixels(square(image, size) if crop == 1 else _centre_crop(image, size, crop))


def open_image(source: Source, index: int, *, channels: int) -> Image.Image:
    """Decode one image at its own size, grey or RGB.

    Raises:
        DataError: the image cannot be read; the message names it.
    """
    try:
        with source.open(index) as opened:
            return in_mode(opened, _MODES[channels])
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{source.name(index)} cannot be read as an image ({error}): mend it or remove it."
        ) from error


def square(image: Image.Image, size: int) -> Image.Image:
    """Return the centred square, resized (bicubic)."""
    if image.size == (size, size):
        return image
    return ImageOps.fit(image, (size, size), method=Image.Resampling.BICUBIC)


def to_pixels(image: Image.Image) -> Pixels:
    """Return the values as ``[channels, height, width]``."""
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def decode_many(
    source: Source, indices: Sequence[int], *, size: int, channels: int, crop: float = 1.0
) -> Pixels:
    """Decode images into one array ``[len(indices), channels, size, size]``, as :func:`decode`.

    Raises:
        DataError: an image cannot be read; the message names it.
    """
    pixels = np.empty((len(indices), channels, size, size), dtype=np.uint8)
    for place, index in enumerate(indices):
        pixels[place] = decode(source, index, size=size, channels=channels, crop=crop)
    return pixels


def _centre_crop(image: Image.Image, size: int, crop: float) -> Image.Image:
    shorter, longer = int(size / crop), max(image.size) * int(size / crop) // min(image.size)
    wide = image.width > image.height
    resized = image.resize(
        (longer, shorter) if wide else (shorter, longer), Image.Resampling.BICUBIC
    )
    left, top = (round((side - size) / 2) for side in resized.size)
    return resized.crop((left, top, left + size, top + size))


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Return the image as ``L`` or ``RGB``, decoded; transparency is left out.

    Of grey values of 16 bits the upper 8 are kept, as Pillow does in colour; ``convert`` would make
    all above 255 white.

    Raises:
        ValueError: the values have 32 bits, which no one scale makes grey.
    """
    if image.mode == mode:
        image.load()  # convert would copy it
        return image
    if image.mode in ("I", "F"):
        raise ValueError("its values have 32 bits: save it with 8 or 16")
    if image.mode.startswith("I;16"):
        image.load()
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(mode)
