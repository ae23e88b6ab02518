"""Tiny ImageNet as its archive unpacks: 200 classes of 64 x 64 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from droptime.errors import DataError
from droptime.training.data.folder import Folder, read_classes


def load_tiny_imagenet(path: Path) -> tuple[Folder, Folder]:
    """Read ``path/train/WNID/images/*`` and ``path/val/images/*`` with ``val_annotations.txt``.

    The archive's test images have no labels: ``val`` is what is tested on.

    Source: Stanford CS231n, tiny-imagenet-200.

    Raises:
        DataError: a part is missing, or a label of ``val`` is no class of ``train``.
    """
    table = path / "val" / "val_annotations.txt"
    if not (path / "train").is_dir() or not table.is_file():
        raise DataError(
            f"{path} is not Tiny ImageNet as its archive unpacks: expected {path / 'train'} and "
            f"{table}. Set data_dir to the folder tiny-imagenet-200."
        )
    train = read_classes(path / "train")
    place = {name: index for index, name in enumerate(train.classes)}
    rows = [line.split("\t")[:2] for line in table.read_text().splitlines() if line]
    if unknown := sorted({row[-1] for row in rows} - place.keys()):
        raise DataError(f"{table} names classes that train has not: {', '.join(unknown[:5])}.")
    return train, Folder(
        paths=tuple(path / "val" / "images" / name for name, _ in rows),
        labels=np.array([place[label] for _, label in rows], dtype=np.int64),
        classes=train.classes,
    )
