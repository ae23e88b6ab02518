"""Flowers, Pets, STL-10 and Food-101 from files as torchvision finds them, written in small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from droptime.errors import DataError
from droptime.training import TrainConfig
from droptime.training.data import load_data
from droptime.training.data.named import load_named

DRAW = np.random.default_rng(0)


def picture(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (10, 8), (grey, grey, 255 - grey)).save(path)


def flowers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = root / "flowers-102"
    for number in range(1, 9):
        picture(base / "jpg" / f"image_{number:05d}.jpg", 20 * number)
    savemat(base / "imagelabels.mat", {"labels": [[1, 2, 3, 1, 2, 3, 1, 2]]})
    savemat(base / "setid.mat", {"trnid": [[2, 1]], "valid": [[6, 5]], "tstid": [[3, 4, 7, 8]]})
    monkeypatch.setattr("torchvision.datasets.Flowers102._check_integrity", lambda self: True)


def pets(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = root / "oxford-iiit-pet"
    lists = {
        "trainval": ["ant_bear_1 1 1 1", "cat_2 2 1 1"],
        "test": ["cat_3 2 1 1", "ant_bear_4 1 1 1"],
    }
    for split, lines in lists.items():
        (base / "annotations").mkdir(parents=True, exist_ok=True)
        (base / "annotations" / f"{split}.txt").write_text("\n".join(lines))
        for line in lines:
            name = line.split()[0]
            picture(base / "images" / f"{name}.jpg", 30 * int(name[-1]))


def stl10(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = root / "stl10_binary"
    base.mkdir()
    for split, labels in (("train", [2, 1, 3]), ("test", [3, 1])):
        np.array(labels, np.uint8).tofile(base / f"{split}_y.bin")
        DRAW.integers(0, 256, (len(labels), 3, 96, 96)).astype(np.uint8).tofile(
            base / f"{split}_X.bin"
        )
    (base / "class_names.txt").write_text("airplane\nbird\ncar\n")
    monkeypatch.setattr("torchvision.datasets.STL10._check_integrity", lambda self: True)


def food(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = root / "food-101"
    (base / "meta").mkdir(parents=True)
    for split, names in (("train", ("a/1", "b/2")), ("test", ("b/3", "a/4"))):
        meta: dict[str, list[str]] = {"b": [], "a": []}
        for name in names:
            meta[name[0]].append(name)
            picture(base / "images" / f"{name}.jpg", 40 * int(name[-1]))
        (base / "meta" / f"{split}.json").write_text(json.dumps(meta))


CASES = {
    "torch/flowers102": (flowers, [1, 0, 2, 1], [2, 0, 0, 1]),
    "torch/oxford_iiit_pet": (pets, [0, 1], [1, 0]),
    "torch/stl10": (stl10, [1, 0, 2], [2, 0]),
    "torch/food101": (food, [1, 0], [1, 0]),
}


@pytest.mark.parametrize("name", CASES)
def test_images_and_labels_of_both_splits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, train_labels, test_labels = CASES[name]
    write(tmp_path, monkeypatch)
    config = TrainConfig(data=name, data_dir=str(tmp_path), image_size=16)
    data = load_data(config, expected_size=16, device=torch.device("cpu"))
    assert data.train.labels.tolist() == train_labels
    assert data.test.labels.tolist() == test_labels
    assert len(data.classes) > max(train_labels)
    images, _ = next(data.train.batches([torch.arange(len(data.train))]))
    assert images.shape == (len(train_labels), 3, 16, 16)
    assert len({image.numpy().tobytes() for image in images}) == len(train_labels)


def test_flowers_train_on_both_labelled_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flowers(tmp_path, monkeypatch)
    train, _ = load_named(
        "torch/flowers102", root=str(tmp_path), splits=("train", "test"), download=False
    )
    greys = [round(np.asarray(train.open(index))[0, 0, 0] / 20) for index in range(4)]
    assert greys == [2, 1, 6, 5]
    assert train.name(3) == "image 3 of torch/flowers102 (train)"
    with pytest.raises(IndexError):
        train.open(4)


@pytest.mark.parametrize("name", CASES)
def test_data_that_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{name} \(train\) cannot be read .*--download"):
        load_named(name, root=str(tmp_path), splits=("train", "test"), download=False)


def test_a_split_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no split 'unlabeled'"):
        load_named("torch/stl10", root=str(tmp_path), splits=("unlabeled", "test"), download=False)
