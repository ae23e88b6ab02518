"""Data sets by their timm name: ``torch/cifar100``, ``hfds/cifar100``, ..."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from timm.data import create_dataset

from droptime.errors import DataError, MissingExtraError
from droptime.training.data.source import Labels
from droptime.training.data.torchvision_sets import KNOWN, Parts, load_known

_FAMILIES = ("torch", "hfds")
_FOLDERS = ("torch/folder", "torch/image_folder")


@dataclass(frozen=True)
class Named:
    """A map-style data set that timm made: torchvision's, or one behind a timm reader."""

    dataset: Any
    title: str
    labels: Labels
    classes: tuple[str, ...]

    def open(self, index: int) -> Image.Image:
        """Open the image; a reader is asked itself, as timm's wrapper skips unreadable images."""
        reader = getattr(self.dataset, "reader", None)
        item = self.dataset[index][0] if reader is None else reader[index][0]
        if isinstance(item, Image.Image):
            return item
        with item:  # an open file, of the disk or of memory
            return Image.open(io.BytesIO(item.read()))

    def name(self, index: int) -> str:
        """Return ``image 12 of torch/cifar100 (train)``."""
        return f"image {index} of {self.title}"


def load_named(
    name: str, *, root: str | None, splits: tuple[str, str], download: bool
) -> tuple[Named | Parts, Named | Parts]:
    """Make the two splits of the data set that timm knows as ``name``.

    Raises:
        DataError: the name is of no family that can be read by index, the data is not there,
            or the splits have different classes.
        MissingExtraError: it is Hugging Face's, and their library is not installed.
    """
    if name.partition("/")[0] not in _FAMILIES or name in _FOLDERS:
        raise DataError(
            f'data={name!r}: expected "digits", "folder:PATH", "torch/NAME", "hfds/NAME", '
            '"tiny_imagenet", "npz:PATH", "sprites:PATH" or "wds:PATH" (WebDataset shards on disk).'
        )
    train, test = (_load(name, split, root=root, download=download) for split in splits)
    if len(train.classes) != len(test.classes):
        raise DataError(
            f"{name} has {len(train.classes)} classes in {splits[0]!r} but {len(test.classes)} "
            f"in {splits[1]!r}."
        )
    return train, test


def _load(name: str, split: str, *, root: str | None, download: bool) -> Named | Parts:
    try:
        if name in KNOWN:
            return load_known(name, split, root=root, download=download)
        extra = {"download": True} if download and name.startswith("torch/") else {}
        dataset = create_dataset(name, root=root, split=split, **extra)
        labels = np.asarray(_labels(dataset), dtype=np.int64)
    except ModuleNotFoundError as error:
        if error.name != "datasets":
            raise
        raise MissingExtraError("datasets", "datasets", f"data={name!r}") from error
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        cure = "" if download else ", or let it be downloaded with download=True (--download)"
        raise DataError(
            f"{name} ({split}) cannot be read from data_dir={root!r} ({error}): set data_dir to "
            f"where it lies{cure}."
        ) from error
    return Named(dataset, f"{name} ({split})", labels, _classes(dataset, labels))


def _labels(dataset: Any) -> Any:  # noqa: ANN401 - any of timm's data sets
    """Return the labels, without decoding images where the data set keeps them apart."""
    for attribute in ("targets", "labels"):
        if hasattr(dataset, attribute):
            return getattr(dataset, attribute)
    reader: Any = getattr(dataset, "reader", None)
    if hasattr(reader, "samples"):
        return [label for _, label in reader.samples]
    if hasattr(reader, "label_key") and not getattr(reader, "remap_class", False):
        return reader.dataset[reader.label_key]
    return [dataset[index][1] for index in range(len(dataset))]


def _classes(dataset: Any, labels: Labels) -> tuple[str, ...]:  # noqa: ANN401
    names = getattr(dataset, "classes", None)
    names = (
        getattr(getattr(dataset, "reader", None), "class_to_idx", None) if names is None else names
    )
    return tuple(map(str, names or range(int(labels.max()) + 1)))
