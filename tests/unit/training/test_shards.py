from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from droptime.errors import DataError
from droptime.training import TrainConfig
from droptime.training.data import load_data
from droptime.training.data.shards import load_shards


def picture(seed: int) -> Image.Image:
    draw = np.random.default_rng(seed)
    return Image.fromarray(draw.integers(0, 256, (8, 8, 3)).astype(np.uint8))


def write_shard(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def samples(seeds: range, *, classes: int = 2) -> dict[str, bytes]:
    files = {}
    for seed in seeds:
        file = io.BytesIO()
        picture(seed).save(file, "png")
        files[f"a/{seed:04d}.cls"] = str(seed % classes).encode()
        files[f"a/{seed:04d}.png"] = file.getvalue()
        files[f"a/{seed:04d}.json"] = b"{}"
    return files


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write_shard(tmp_path / "toy-train-0000.tar", samples(range(6)))
    write_shard(tmp_path / "toy-train-0001.tar", samples(range(6, 10)))
    write_shard(tmp_path / "toy-validation-0000.tar", samples(range(100, 104)))
    return tmp_path


def test_every_sample_is_read_where_it_lies(shards: Path) -> None:
    train, test = load_shards(shards)
    assert test is not None
    assert train.labels.tolist() == [0, 1] * 5
    assert test.labels.tolist() == [0, 1, 0, 1]
    for source, first in ((train, 0), (test, 100)):
        for index in reversed(range(len(source.labels))):
            expected = np.asarray(picture(first + index))
            assert np.array_equal(np.asarray(source.open(index)), expected)
    assert train.name(7) == f"a/0007 in {shards / 'toy-train-0001.tar'}"


def test_a_run_reads_them_with_any_number_of_workers(shards: Path) -> None:
    batches = []
    for settings in ({}, {"memory_gb": 0.0}, {"memory_gb": 0.0, "workers": 2}):
        values = {"data": f"wds:{shards}", "image_size": 8, **settings}
        config = TrainConfig.from_dict(values)  # type: ignore[arg-type]
        data = load_data(config, expected_size=8, device=torch.device("cpu"))
        batches.append(
            torch.cat(
                [images for images, _ in data.train.batches(torch.split(torch.arange(10), 3))]
            )
        )
    assert batches[0].shape == (10, 3, 8, 8)
    assert torch.equal(batches[0], batches[1])
    assert torch.equal(batches[0], batches[2])


def test_folders_may_name_the_split(tmp_path: Path) -> None:
    write_shard(tmp_path / "train/0.tar", samples(range(4)))
    write_shard(tmp_path / "test/0.tar", samples(range(2)))
    write_shard(tmp_path / "val/0.tar", samples(range(3)))
    train, test = load_shards(tmp_path)
    assert (len(train.labels), test and len(test.labels)) == (4, 2)


def test_shards_without_a_split_are_all_trained_on(tmp_path: Path) -> None:
    for shard in range(2):
        write_shard(tmp_path / f"{shard}.tar", samples(range(3)))
    train, test = load_shards(tmp_path)
    assert (len(train.labels), test) == (6, None)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.png": b""}, r"a in .*train\.tar has no \.cls \(1 such"),
        ({"a.cls": b"0"}, r"a in .*train\.tar has no image"),
        ({"a.png": b"", "a.cls": b"cat"}, r"cannot be read as a shard .*numbers from 0 on"),
        ({"a.png": b"", "a.cls": b"-1"}, r"has the class -1"),
        ({"notes.txt": b""}, "holds no samples"),
    ],
)
def test_what_is_wrong_with_a_shard_is_said(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    write_shard(tmp_path / "train.tar", files)
    with pytest.raises(DataError, match=message):
        load_shards(tmp_path)


def test_what_is_wrong_with_a_set_of_shards_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no shards"):
        load_shards(tmp_path)
    write_shard(tmp_path / "test.tar", samples(range(6), classes=3))
    with pytest.raises(DataError, match="none with 'train' in its name"):
        load_shards(tmp_path)
    write_shard(tmp_path / "train.tar", samples(range(4)))
    with pytest.raises(DataError, match="3 classes to test on and 2 to train on"):
        load_shards(tmp_path)
    (tmp_path / "train.tar").write_bytes(b"no tar file" * 100)
    with pytest.raises(DataError, match="must be a plain tar file"):
        load_shards(tmp_path)


def test_an_image_that_is_torn_is_named(shards: Path) -> None:
    write_shard(shards / "toy-train-0000.tar", {"x.png": b"torn", "x.cls": b"0"})
    config = TrainConfig(data=f"wds:{shards}", image_size=8)
    with pytest.raises(DataError, match=r"x in .*0000\.tar cannot be read as an image"):
        load_data(config, expected_size=8, device=torch.device("cpu"))
