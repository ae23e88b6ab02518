from __future__ import annotations

import pickle
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from droptime.errors import DataError, MissingExtraError
from droptime.training import TrainConfig, cifar100, tiny_imagenet
from droptime.training.data import load_data
from droptime.training.data.named import load_named
from droptime.training.models.build import expected_size


def write_idx(path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    path.write_bytes(header + values.tobytes())


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """Write random pictures in the files that torchvision reads as MNIST."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for split, count in (("train", 40), ("t10k", 20)):
        pictures = draw.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        write_idx(raw / f"{split}-images-idx3-ubyte", pictures)
        write_idx(raw / f"{split}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))
    return tmp_path


def test_a_torchvision_set_by_its_timm_name(mnist: Path) -> None:
    config = TrainConfig(data="torch/mnist", data_dir=str(mnist), model_args={"in_chans": 1})
    data = load_data(config, expected_size=28, device=torch.device("cpu"))
    assert len(data.train) == 40
    assert len(data.test) == 20
    assert data.test.labels[:11].tolist() == [*range(10), 0]
    assert len(data.classes) == 10
    train, _ = load_named("torch/mnist", root=str(mnist), splits=("train", "test"), download=False)
    images, _ = next(data.train.batches([torch.arange(5)]))
    assert np.array_equal(images[3, 0].numpy(), np.asarray(train.open(3)))


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write random pictures in the files that torchvision reads as CIFAR-100."""
    from torchvision.datasets import CIFAR100

    monkeypatch.setattr(CIFAR100, "_check_integrity", lambda self: True)
    folder = tmp_path / CIFAR100.base_folder
    folder.mkdir()
    draw = np.random.default_rng(0)
    for file, count in (("train", 200), ("test", 100)):
        pixels = draw.integers(0, 256, (count, 3072)).astype(np.uint8)
        labels = (np.arange(count) % 100).tolist()
        (folder / file).write_bytes(pickle.dumps({"data": pixels, "fine_labels": labels}))
    names = {"fine_label_names": [f"thing {index}" for index in range(100)]}
    (folder / "meta").write_bytes(pickle.dumps(names))
    monkeypatch.setattr(CIFAR100, "meta", {**CIFAR100.meta, "md5": None})
    return tmp_path


def test_the_cifar_recipe_reads_torchvisions_files(cifar: Path) -> None:
    config = replace(cifar100(), data_dir=str(cifar))
    data = load_data(config, expected_size=expected_size(config), device=torch.device("cpu"))
    assert (len(data.train), len(data.test), len(data.classes)) == (200, 100, 100)
    assert (data.size, data.channels, data.classes[3]) == (32, 3, "thing 3")
    images, labels = next(data.train.batches([torch.arange(200)]))
    assert labels.tolist() == [index % 100 for index in range(200)]
    raw = pickle.loads((cifar / "cifar-100-python" / "train").read_bytes())["data"]
    assert np.array_equal(images.flatten(1).numpy(), raw)


def test_tiny_imagenet_as_its_archive_unpacks(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    root = tmp_path / "tiny-imagenet-200"
    (root / "val" / "images").mkdir(parents=True)
    rows = []
    for number, wnid in enumerate(("n02", "n01")):
        (root / "train" / wnid / "images").mkdir(parents=True)
        for index in range(3):
            pixels = Image.fromarray(draw.integers(0, 256, (64, 64, 3)).astype(np.uint8))
            pixels.save(root / "train" / wnid / "images" / f"{wnid}_{index}.JPEG")
        pixels.save(root / "val" / "images" / f"val_{number}.JPEG")
        rows.append(f"val_{number}.JPEG\t{wnid}\t0\t0\t62\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(rows))
    config = replace(tiny_imagenet(), data_dir=str(root))
    data = load_data(config, expected_size=expected_size(config), device=torch.device("cpu"))
    assert data.classes == ("n01", "n02")
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test.labels.tolist() == [1, 0]
    (root / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn03\t0\t0\t62\t62\n")
    with pytest.raises(DataError, match="classes that train has not: n03"):
        load_data(config, expected_size=64, device=torch.device("cpu"))
    with pytest.raises(DataError, match="is not Tiny ImageNet"):
        load_data(
            replace(config, data_dir=str(tmp_path)), expected_size=64, device=torch.device("cpu")
        )


def test_data_that_is_not_there_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"torch/mnist \(train\) cannot be read .*--download"):
        load_named("torch/mnist", root=str(tmp_path), splits=("train", "test"), download=False)


@pytest.mark.parametrize("name", ["imagenet", "tfds/mnist", "wds/pets", "torch/image_folder"])
def test_names_that_cannot_be_read_by_index(name: str) -> None:
    with pytest.raises(DataError, match='expected "digits", "folder:PATH"'):
        load_named(name, root=None, splits=("train", "test"), download=False)


def test_unknown_name_of_a_known_family(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="torch/nothing"):
        load_named("torch/nothing", root=str(tmp_path), splits=("train", "x"), download=False)


def test_hugging_face_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.delitem(sys.modules, "timm.data.readers.reader_hfds", raising=False)
    with pytest.raises(MissingExtraError, match=r"'hfds/beans' needs .*droptime\[datasets\]"):
        load_named("hfds/beans", root=None, splits=("train", "test"), download=False)


def test_a_hugging_face_set_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_DATASETS_OFFLINE", True)
    draw = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for label in ("cat", "dog"):
            folder = tmp_path / "pets" / split / label
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = draw.integers(0, 256, (8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    config = TrainConfig(
        data=f"hfds/{tmp_path / 'pets'}",
        data_dir=str(tmp_path / "cache"),
        test_split="test",
        image_size=8,
    )
    data = load_data(config, expected_size=8, device=torch.device("cpu"))
    assert data.classes == ("cat", "dog")
    assert data.train.labels.bincount().tolist() == [4, 4]
    images, labels = next(data.test.batches([torch.arange(4)]))
    last = tmp_path / "pets" / "test" / "dog" / "1.png"
    assert int(labels[3]) == 1
    assert np.array_equal(images[3].permute(1, 2, 0).numpy(), np.asarray(Image.open(last)))
