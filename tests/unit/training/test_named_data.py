from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from droptime.errors import DataError
from droptime.training import TrainConfig
from droptime.training.data import load_data
from droptime.training.data.named import load_named


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
    images, _ = next(data.train.in_order(5))
    assert np.array_equal(images[3, 0].numpy(), np.asarray(train.open(3)))


def test_data_that_is_not_there_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"torch/mnist \(train\) cannot be read .*--download"):
        load_named("torch/mnist", root=str(tmp_path), splits=("train", "test"), download=False)


@pytest.mark.parametrize("name", ["imagenet", "tfds/mnist", "torch/image_folder"])
def test_names_that_cannot_be_read_by_index(name: str) -> None:
    with pytest.raises(DataError, match='expected "digits", "folder:PATH"'):
        load_named(name, root=None, splits=("train", "test"), download=False)


def test_unknown_name_of_a_known_family(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="torch/nothing"):
        load_named("torch/nothing", root=str(tmp_path), splits=("train", "x"), download=False)
