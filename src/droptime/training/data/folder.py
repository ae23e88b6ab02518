"""Image folders: one sub-folder per class, with or without folders for the splits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from droptime.errors import DataError
from droptime.training.data.source import Labels

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff"})
TEST_NAMES = ("test", "val", "valid", "validation")
_LIKE_SPLITS = frozenset({"train", "training", "testing", *TEST_NAMES})


@dataclass(frozen=True)
class Folder:
    """The images below the class folders of one folder."""

    paths: tuple[Path, ...]
    labels: Labels
    classes: tuple[str, ...]

    def open(self, index: int) -> Image.Image:
        """Open the image file."""
        return Image.open(self.paths[index])

    def name(self, index: int) -> str:
        """Return the file's path."""
        return str(self.paths[index])


def load_folder(path: Path) -> tuple[Folder, Folder | None]:
    """Read ``path/train/CLASS/*`` and ``path/{test,val}/CLASS/*``, or only ``path/CLASS/*``.

    The test set is the first of ``test``, ``val``, ``valid``, ``validation`` that exists; None
    where no such folder, or no ``train`` folder, is there.

    Raises:
        DataError: the folder is missing or has no classes, a class has no image, a test folder
            stands without a train folder, or the splits have different classes.
    """
    check_folder(path)
    tests = [path / name for name in TEST_NAMES if (path / name).is_dir()]
    if not (path / "train").is_dir():
        if tests:
            raise DataError(f"{tests[0]} is there but {path / 'train'} is not: add it.")
        return read_classes(path), None
    train = read_classes(path / "train")
    if not tests:
        return train, None
    test = read_classes(tests[0])
    _check_same_classes(train, test, path)
    return train, test


def read_classes(path: Path) -> Folder:
    """Read ``path/CLASS/*``; classes and files in the order of their names.

    Raises:
        DataError: there is no class folder, one holds no image, or they are splits by their names.
    """
    folders = class_folders(path)
    files = [_images(folder) for folder in folders]
    labels = np.repeat(np.arange(len(files)), [len(found) for found in files])
    return Folder(
        paths=tuple(file for found in files for file in found),
        labels=labels.astype(np.int64),
        classes=tuple(folder.name for folder in folders),
    )


def check_folder(path: Path) -> None:
    """Raise DataError unless the path is a folder."""
    if not path.is_dir():
        raise DataError(f"{path} is not a folder: expected {path}/CLASS/* or {path}/train/CLASS/*.")


def class_folders(path: Path) -> list[Path]:
    """Return the visible folders in ``path``, in the order of their names.

    Raises:
        DataError: there is none, or all are called like splits (``Train`` and ``Test``).
    """
    folders = sorted(item for item in path.iterdir() if is_visible(item) and item.is_dir())
    if not folders:
        raise DataError(f"{path} has no class folders: expected {path}/CLASS/* with images.")
    names = [folder.name for folder in folders]
    if all(name.lower() in _LIKE_SPLITS for name in names):
        raise DataError(
            f"{path} holds {' and '.join(names)}, which are no classes by their names: call the "
            f"splits train and test, expected {path}/train/CLASS/*."
        )
    return folders


def files_below(folder: Path) -> list[Path]:
    """Return every visible file below a folder, in the order of names.

    Links to folders are followed, each folder once; what lies in hidden folders is not visible.
    """
    found, seen = [], set()
    for root, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(root)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(root, name) for name in names if not name.startswith(".")]
    return sorted(found)


def _images(folder: Path) -> list[Path]:
    found = [file for file in files_below(folder) if is_image(file)]
    if not found:
        raise DataError(
            f"Class folder {folder} holds no image ({', '.join(sorted(_SUFFIXES))}): "
            "add some or remove the folder."
        )
    return found


def is_image(path: Path) -> bool:
    """Return whether the file's name ends like an image's."""
    return path.suffix.lower() in _SUFFIXES


def is_visible(path: Path) -> bool:
    """Return whether the name begins with no dot."""
    return not path.name.startswith(".")


def _check_same_classes(train: Folder, test: Folder, path: Path) -> None:
    only = [
        f"only in {side}: {', '.join(sorted(extra))}"
        for side, extra in (
            ("train", set(train.classes) - set(test.classes)),
            ("test", set(test.classes) - set(train.classes)),
        )
        if extra
    ]
    if only:
        raise DataError(f"The splits of {path} have different classes ({'; '.join(only)}).")
