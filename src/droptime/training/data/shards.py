"""WebDataset shards: tar files of images and their classes, read by index instead of in a row."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from droptime.errors import DataError
from droptime.training.data.folder import TEST_NAMES
from droptime.training.data.source import Indices, Labels

_IMAGES = ("jpg", "jpeg", "png", "webp")
_CLASS = "cls"


@dataclass(frozen=True)
class Shards:
    """The images in some tar files.

    Attributes:
        paths: the tar files.
        places: tar file, first byte and length of each image, ``[n, 3]``.
        keys: the name that an image and its class share in the tar file.
        labels: ``[n]``.
        classes: the labels as text; shards do not name their classes.
    """

    paths: tuple[Path, ...]
    places: Indices
    keys: tuple[str, ...]
    labels: Labels
    classes: tuple[str, ...]

    def open(self, index: int) -> Image.Image:
        """Open the image where it lies in its tar file."""
        shard, start, length = self.places[index].tolist()
        with self.paths[shard].open("rb") as file:
            file.seek(start)
            return Image.open(io.BytesIO(file.read(length)))

    def name(self, index: int) -> str:
        """Return ``000012 in train-0000.tar``."""
        return f"{self.keys[index]} in {self.paths[self.places[index, 0]]}"


def load_shards(path: Path) -> tuple[Shards, Shards | None]:
    """Read the shards below ``path``: a sample is ``KEY.jpg`` (png, webp) and ``KEY.cls``.

    Shards with ``train`` in their path below it are trained on; those with ``test`` are tested on,
    or with ``val``, ``valid``, ``validation`` if there are none. Where no shard has any of the
    words, all are trained on. Every tar file is gone through once, from header to header.

    Raises:
        DataError: there are no shards, only some of a split's, or a sample lacks image or class.
    """
    files = {file: str(file.relative_to(path)).lower() for file in sorted(path.rglob("*.tar"))}
    if not files:
        raise DataError(f"{path} has no shards: expected {path}/*.tar, such as train-0000.tar.")
    train = [file for file, name in files.items() if "train" in name]
    tests = (
        [file for file, name in files.items() if word in name and file not in train]
        for word in TEST_NAMES
    )
    test = next(filter(None, tests), [])
    if not train and test:
        raise DataError(f"{path} has shards to test on but none with 'train' in its name.")
    of_train = _read(train or list(files))
    if not test:
        return of_train, None
    of_test = _read(test)
    if len(of_test.classes) > len(of_train.classes):
        raise DataError(
            f"The shards of {path} have {len(of_test.classes)} classes to test on and "
            f"{len(of_train.classes)} to train on."
        )
    return of_train, Shards(
        of_test.paths, of_test.places, of_test.keys, of_test.labels, of_train.classes
    )


def _read(paths: Iterable[Path]) -> Shards:
    paths = tuple(paths)
    samples = [(shard, *sample) for shard, path in enumerate(paths) for sample in _index(path)]
    if not samples:
        raise DataError(f"{paths[0]} holds no samples: expected KEY.jpg and KEY.cls in it.")
    labels = np.array([label for *_, label in samples], dtype=np.int64)
    return Shards(
        paths=paths,
        places=np.array([(shard, *place) for shard, _, place, _ in samples], dtype=np.int64),
        keys=tuple(key for _, key, _, _ in samples),
        labels=labels,
        classes=tuple(map(str, range(int(labels.max()) + 1))),
    )


def _index(path: Path) -> list[tuple[str, tuple[int, int], int]]:
    """Return key, place and label of every sample of a tar file."""
    places: dict[str, tuple[int, int]] = {}
    labels: dict[str, int] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, suffix = _split(member.name)
                if suffix in _IMAGES:
                    places[key] = (member.offset_data, member.size)
                elif suffix == _CLASS and (file := tar.extractfile(member)):
                    labels[key] = int(file.read())
    except (OSError, tarfile.TarError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as a shard ({error}): it must be a plain tar file, its .cls "
            "files numbers from 0 on."
        ) from error
    if lonely := sorted(places.keys() ^ labels.keys()):
        lacks = f".{_CLASS}" if lonely[0] in places else f"image ({', '.join(_IMAGES)})"
        raise DataError(f"{lonely[0]} in {path} has no {lacks} ({len(lonely)} such samples).")
    if negative := [key for key, label in labels.items() if label < 0]:
        raise DataError(f"{negative[0]} in {path} has the class {labels[negative[0]]}.")
    return [(key, place, labels[key]) for key, place in places.items()]


def _split(name: str) -> tuple[str, str]:
    """Split at the first dot of the file's name, as WebDataset does."""
    file = PurePosixPath(name)
    stem, _, suffix = file.name.partition(".")
    return str(file.parent / stem), suffix.lower()
