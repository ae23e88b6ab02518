"""The paper's transforms as droptime puts them together against timm's own factory."""

from __future__ import annotations

from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torch import Tensor

from droptime.training import TrainConfig
from droptime.training.data import load_data
from droptime.training.data.by_image import ByImage
from droptime.training.data.source import Subset, decode
from droptime.training.data.sources import load_sources
from droptime.training.data.stream import TrainStream
from droptime.training.seeds import derive, seed_streams, undisturbed

RAND = "rand-m9-mstd0.5-inc1"
IMAGENET = (124, 116, 104)


def photo(seed: int, size: tuple[int, int]) -> Image.Image:
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def test_training_transforms_are_timms() -> None:
    ours = ByImage(size=32, crop_scale=0.08, flip=0.5, rand_augment=RAND, fill=IMAGENET)
    primary, secondary, _ = create_transform(
        32, is_training=True, interpolation="bicubic", auto_augment=RAND, separate=True
    )
    state = torch.get_rng_state()
    with undisturbed():
        changed = [ours(photo(seed, (60, 44)), seed) for seed in range(40)]
    assert torch.equal(torch.get_rng_state(), state)
    for seed, image in enumerate(changed):
        seed_streams(seed)
        theirs = secondary(primary(photo(seed, (60, 44))))
        assert np.array_equal(np.asarray(image), np.asarray(theirs)), seed


def test_the_strongest_posterize_gives_black() -> None:
    """At magnitude 10, which the paper's noise reaches, no bit is kept; newer Pillow refuses."""
    every = ByImage(size=8, crop_scale=None, flip=0, rand_augment="rand-m10-inc1-p1", fill=IMAGENET)
    changed = [np.asarray(every(photo(seed, (8, 8)), seed)) for seed in range(120)]
    assert any((image == 0).all() for image in changed)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for split, count in (("train", 8), ("val", 3)):
        for label in range(2):
            folder = tmp_path / split / f"class {label}"
            folder.mkdir(parents=True)
            for index in range(count):
                size = (50 + 7 * index, 61 - 5 * index)
                photo(100 * label + index, size).save(folder / f"{index}.png")
    return tmp_path


def paper_config(folder: Path, **settings: object) -> TrainConfig:
    values = {
        "data": f"folder:{folder}",
        "model": "vit_t16",
        "image_size": 32,
        "batch_size": 4,
        "epochs": 2,
        "augment_on": "cpu",
        "crop_scale": 0.08,
        "flip": 0.5,
        "rand_augment": RAND,
        "normalise": "imagenet",
        "test_crop": 0.875,
        **settings,
    }
    return TrainConfig.from_dict(values)  # type: ignore[arg-type]


def test_measured_images_are_timms(photos: Path) -> None:
    config = paper_config(photos)
    data = load_data(config, expected_size=32, device=torch.device("cpu"))
    theirs = create_transform(32, is_training=False, interpolation="bicubic", crop_pct=0.875)
    normalise = TrainStream(data, config).augment.normalise
    for split, source in zip((data.train, data.test), load_sources(config), strict=True):
        images, _ = next(split.batches([torch.arange(len(split))]))
        for index, normalised in enumerate(normalise(images)):
            with source.open(index) as opened:
                expected = theirs(opened.convert("RGB"))
            assert torch.allclose(normalised, expected, atol=1e-5)


def test_a_stream_of_batches_is_timms_image_by_image(photos: Path) -> None:
    config = paper_config(photos, seed=3)
    data = load_data(config, expected_size=32, device=torch.device("cpu"))
    stream = TrainStream(data, config)
    assert data.train.augmenting is not None
    source = data.train.augmenting.source
    primary, secondary, final = create_transform(
        32, is_training=True, interpolation="bicubic", auto_augment=RAND, separate=True
    )
    order = stream.order(1).tolist()
    for place, (images, labels) in enumerate(stream.batches(first=stream.steps_per_epoch)):
        batch_seed = derive(3, "augment", 1, place)
        for position, index in enumerate(order[4 * place : 4 * place + 4]):
            seed_streams(derive(batch_seed, position))
            with source.open(index) as opened:
                expected = final(secondary(primary(opened.convert("RGB"))))
            assert torch.allclose(images[position], expected, atol=1e-5)
            assert labels[position] == int(source.labels[index])


def test_batches_do_not_depend_on_workers_nor_on_memory(photos: Path) -> None:
    epochs = []
    for settings in ({}, {"workers": 1}, {"workers": 2}, {"memory_gb": 0.0}):
        config = paper_config(photos, **settings)
        data = load_data(config, expected_size=32, device=torch.device("cpu"))
        epochs.append(list(TrainStream(data, config).batches(first=1)))
    assert len(epochs[0]) == 7
    for other in epochs[1:]:
        for (images, labels), (same, alike) in zip(epochs[0], other, strict=True):
            assert torch.equal(images, same)
            assert torch.equal(labels, alike)


@pytest.mark.parametrize("augment_on", ["cpu", "device"])
def test_processes_begin_the_next_epoch_before_this_one_ends(
    photos: Path, augment_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = paper_config(photos, workers=1, memory_gb=0.0, augment_on=augment_on, test_crop=1.0)
    data = load_data(config, expected_size=32, device=torch.device("cpu"))
    stream, begun = TrainStream(data, config), []
    order = stream.order

    def watched(_: TrainStream, epoch: int) -> Tensor:
        begun.append(epoch)
        return order(epoch)

    monkeypatch.setattr(TrainStream, "order", watched)
    batches = stream.batches()
    next(batches)
    (process,) = active_children()
    assert begun == [0]
    for _ in range(stream.steps_per_epoch - 1):
        next(batches)
    assert begun == [0, 1]
    next(batches)
    assert active_children() == [process]
    batches.close()
    assert active_children() == []


def test_a_subset_is_still_its_images(photos: Path) -> None:
    data = load_data(paper_config(photos), expected_size=32, device=torch.device("cpu"))
    assert data.train.augmenting is not None
    some = Subset(data.train.augmenting.source, np.array([3, 9]))
    whole = decode(data.train.augmenting.source, 9, size=32, channels=3, crop=0.875)
    assert np.array_equal(decode(some, 1, size=32, channels=3, crop=0.875), whole)
