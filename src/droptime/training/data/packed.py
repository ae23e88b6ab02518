"""Whole data sets in a few files: encoded images in an .npz, or sheets of tiles."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from PIL import Image

from droptime.errors import DataError
from droptime.training.data.folder import TEST_NAMES
from droptime.training.data.source import Labels, Pixels

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

_TILE = 32


@dataclass(frozen=True)
class Packed:
    """Encoded images one after the other in one array.

    Attributes:
        blob: the bytes of every file.
        offsets: where each begins and the last ends, ``[n + 1]``.
        labels: ``[n]``.
        classes: their names.
        path: where it was read from.
    """

    blob: Pixels
    offsets: npt.NDArray[np.int64]
    labels: Labels
    classes: tuple[str, ...]
    path: Path

    def open(self, index: int) -> Image.Image:
        """Open the encoded image."""
        start, end = self.offsets[index : index + 2]
        return Image.open(io.BytesIO(self.blob[start:end].tobytes()))

    def name(self, index: int) -> str:
        """Return ``image 12 of train.npz``."""
        return f"image {index} of {self.path}"


@dataclass(frozen=True)
class Tiles:
    """Decoded images of one size, ``[n, height, width, 3]``."""

    pixels: Pixels
    labels: Labels
    classes: tuple[str, ...]
    title: str

    def open(self, index: int) -> Image.Image:
        """Return the tile."""
        return Image.fromarray(self.pixels[index])

    def name(self, index: int) -> str:
        """Return ``image 12 of the train sheets in PATH``."""
        return f"image {index} of {self.title}"


def load_packed(path: Path) -> tuple[Packed, Packed | None]:
    """Read ``path/train*.npz`` and ``path/{test,val}*.npz``: arrays blob, offsets, labels.

    ``classes`` or ``words`` may name the classes. Several files of a split are joined.

    Raises:
        DataError: there is no train file, or a file lacks an array.
    """
    train = _packed(path, "train")
    if train is None:
        raise DataError(f"{path} has no train*.npz: expected one with blob, offsets and labels.")
    tests = (_packed(path, name) for name in TEST_NAMES)
    return train, next((test for test in tests if test is not None), None)


def load_sprites(path: Path) -> tuple[Tiles, Tiles | None]:
    """Read sheets ``train_NN.*`` and ``test_NN.*`` of tiles of 32 x 32, and ``labels.npz``.

    Tiles go row by row. Sheet NN holds the labels from NN times the tiles of a sheet on, so that
    some of the sheets may be missing.

    Raises:
        DataError: labels or sheets are missing, or one has another size.
    """
    arrays = _read(path / "labels.npz", "train_y", "classes")
    train = _tiles(path, "train", arrays)
    if train is None:
        raise DataError(f"{path} has no sheets: expected images train_00.*, train_01.*, ...")
    return train, _tiles(path, "test", arrays)


def _packed(path: Path, split: str) -> Packed | None:
    files = sorted(path.glob(f"{split}*.npz"))
    parts = [_read(file, "blob", "offsets", "labels") for file in files]
    if not parts:
        return None
    lengths = np.array([0, *(len(part["blob"]) for part in parts)]).cumsum()
    starts = [part["offsets"][:-1].astype(np.int64) for part in parts]
    offsets = [start + at for start, at in zip(starts, lengths[:-1], strict=True)]
    labels = np.concatenate([part["labels"] for part in parts]).astype(np.int64)
    names = parts[0].get("classes", parts[0].get("words", np.arange(labels.max() + 1)))
    return Packed(
        blob=np.concatenate([part["blob"] for part in parts]),
        offsets=np.concatenate([*offsets, lengths[-1:]]),
        labels=labels,
        classes=_words(names),
        path=files[0] if len(files) == 1 else path / f"{split}*.npz",
    )


def _tiles(path: Path, split: str, arrays: Arrays) -> Tiles | None:
    sheets = sorted(path.rglob(f"{split}_[0-9]*.*"), key=lambda sheet: sheet.name)
    if not sheets:
        return None
    cut = [_cut(sheet) for sheet in sheets]
    count = len(cut[0])
    if any(len(tiles) != count for tiles in cut):
        raise DataError(f"The sheets {split}_* in {path} have different sizes.")
    numbers = [int(sheet.stem.removeprefix(f"{split}_")) for sheet in sheets]
    of_sheet = arrays[f"{split}_y"].reshape(-1, count)
    if max(numbers) >= len(of_sheet):
        raise DataError(f"{path / 'labels.npz'} has no labels for {sheets[-1].name}.")
    title = f"the {split} sheets in {path}"
    labels = of_sheet[numbers].reshape(-1).astype(np.int64)
    return Tiles(np.concatenate(cut), labels, _words(arrays["classes"]), title)


def _cut(sheet: Path) -> Pixels:
    try:
        with Image.open(sheet) as opened:
            pixels = np.asarray(opened.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{sheet} cannot be read as an image ({error}).") from error
    rows, columns = (side // _TILE for side in pixels.shape[:2])
    grid = pixels[: rows * _TILE, : columns * _TILE].reshape(rows, _TILE, columns, _TILE, 3)
    return grid.transpose(0, 2, 1, 3, 4).reshape(-1, _TILE, _TILE, 3)


def _words(names: npt.NDArray[Any]) -> tuple[str, ...]:
    return tuple(names.astype(str).tolist())


def _read(path: Path, *needed: str) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, BadZipFile) as error:
        raise DataError(f"{path} cannot be read ({error}).") from error
    if missing := [name for name in needed if name not in arrays]:
        raise DataError(f"{path} lacks {', '.join(missing)}: it holds {', '.join(arrays)}.")
    return arrays
