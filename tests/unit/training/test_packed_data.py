from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from droptime.errors import DataError
from droptime.training.data.packed import load_packed, load_sprites

DRAW = np.random.default_rng(0)
TILES = DRAW.integers(0, 256, (18, 32, 32, 3)).astype(np.uint8)


def encoded(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def pack(path: Path, first: int, count: int, **more: object) -> None:
    files = [encoded(TILES[index]) for index in range(first, first + count)]
    offsets = np.cumsum([0, *map(len, files)])
    blob = np.frombuffer(b"".join(files), np.uint8)
    labels = (np.arange(first, first + count) % 3).astype(np.uint8)
    np.savez(path, blob=blob, offsets=offsets, labels=labels, **more)  # type: ignore[arg-type]


def test_packed_files_of_a_split_are_joined(tmp_path: Path) -> None:
    pack(tmp_path / "train_0.npz", 0, 5, classes=np.array([b"ant", b"bee", b"cow"]))
    pack(tmp_path / "train_1.npz", 5, 4)
    pack(tmp_path / "val.npz", 9, 3)
    train, test = load_packed(tmp_path)
    assert test is not None
    assert train.classes == ("ant", "bee", "cow")
    assert test.classes == ("0", "1", "2")
    assert train.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2]
    for source, first in ((train, 0), (test, 9)):
        for index in range(len(source.labels)):
            assert np.array_equal(np.asarray(source.open(index)), TILES[first + index])
    assert "image 7 of" in train.name(7)


def test_sheets_may_be_missing(tmp_path: Path) -> None:
    labels = np.arange(18) % 3
    np.savez(tmp_path / "labels.npz", train_y=labels, test_y=labels[:6], classes=["a", "b", "c"])
    for number in (0, 2):
        rows = TILES[6 * number : 6 * number + 6].reshape(2, 3, 32, 32, 3)
        sheet = rows.transpose(0, 2, 1, 3, 4).reshape(64, 96, 3)
        Image.fromarray(sheet).save(tmp_path / f"train_{number:02}.png")
    train, test = load_sprites(tmp_path)
    assert test is None
    assert train.classes == ("a", "b", "c")
    expected = [*range(6), *range(12, 18)]
    assert train.labels.tolist() == [index % 3 for index in expected]
    for position, index in enumerate(expected):
        assert np.array_equal(np.asarray(train.open(position)), TILES[index])


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no train\*.npz"):
        load_packed(tmp_path)
    with pytest.raises(DataError, match=r"labels.npz cannot be read"):
        load_sprites(tmp_path)
    np.savez(tmp_path / "labels.npz", train_y=np.zeros(6))
    with pytest.raises(DataError, match="lacks classes: it holds train_y"):
        load_sprites(tmp_path)
    np.savez(tmp_path / "labels.npz", train_y=np.zeros(6), classes=["a"])
    with pytest.raises(DataError, match="has no sheets"):
        load_sprites(tmp_path)
    (tmp_path / "train_00.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"train_00.png cannot be read"):
        load_sprites(tmp_path)
    (tmp_path / "train_0.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"train_0.npz cannot be read"):
        load_packed(tmp_path)
