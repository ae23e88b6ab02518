from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from droptime.errors import ConfigError
from droptime.training import TrainConfig
from droptime.training.data import ImageData, load_data
from droptime.training.data.stream import Batch, TrainStream
from droptime.training.seeds import Streams, derive, seed_streams, undisturbed

Tiny = Callable[..., TrainConfig]
BUSY = {"crop_padding": 1, "flip": 0.5, "erase": 0.5, "mixup": 0.8, "cutmix": 1.0}


def data_of(config: TrainConfig) -> ImageData:
    return load_data(config, expected_size=8, device=torch.device("cpu"))


def stream_of(config: TrainConfig) -> TrainStream:
    return TrainStream(data_of(config), config)


def equal(left: list[Batch], right: list[Batch]) -> bool:
    return len(left) == len(right) and all(
        torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in zip(left, right, strict=True)
    )


def test_an_epoch_shows_each_image_at_most_once(tiny: Tiny) -> None:
    stream = stream_of(tiny(train_limit=70))
    assert stream.steps_per_epoch == 4
    assert sorted(stream.order(0).tolist()) == list(range(70))
    assert stream.order(0).tolist() != stream.order(1).tolist()
    assert [len(labels) for _, labels in stream.batches()] == [16] * 4 * stream.config.epochs


def test_position_is_one_integer(tiny: Tiny) -> None:
    stream = stream_of(tiny(accumulate=2, **BUSY))
    whole = list(stream.batches())
    torch.rand(7)
    for first in range(11):
        assert equal(list(stream_of(stream.config).batches(first=first)), whole[2 * first :])


def test_batches_do_not_touch_the_process_streams(tiny: Tiny) -> None:
    stream = stream_of(tiny(**BUSY))
    before = Streams.capture()
    list(stream.batches())
    after = Streams.capture()
    assert torch.equal(before.tensors["cpu"], after.tensors["cpu"])
    assert before.values == after.values


def test_decoding_on_demand_gives_the_same_training_batches(tiny: Tiny) -> None:
    config = tiny(crop_padding=1)
    kept = list(stream_of(config).batches(first=2))
    assert equal(list(stream_of(tiny(crop_padding=1, memory_gb=0.0)).batches(first=2)), kept)


def test_seeds_give_other_orders_of_the_same_images(tiny: Tiny) -> None:
    one, other = stream_of(tiny(seed=1)), stream_of(tiny(seed=2))
    assert one.order(0).tolist() != other.order(0).tolist()
    assert torch.equal(one.data.train.labels, other.data.train.labels)


def test_a_batch_larger_than_the_data(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="larger than the training set of 80 images"):
        stream_of(tiny(batch_size=128))


def test_digits_are_not_enlarged_in_silence(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="digits are 8 x 8 pixels"):
        load_data(tiny(), expected_size=224, device=torch.device("cpu"))
    assert data_of(tiny(image_size=16)).size == 16


def test_derived_seeds_are_unrelated() -> None:
    purposes = [("order", 0), ("order", 1), ("augment", 0, 0), ("augment", 0, 1), ("masks",)]
    seeds = {derive(seed, *purpose) for seed in range(20) for purpose in purposes}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_undisturbed_puts_every_stream_back() -> None:
    before = Streams.capture()
    with undisturbed():
        seed_streams(5)
        torch.rand(3)
    after = Streams.capture()
    assert torch.equal(before.tensors["cpu"], after.tensors["cpu"])
    assert before.values == after.values


class SameImages(TrainStream):
    """The same images at every place, so that batches differ by their draws alone."""

    def order(self, epoch: int) -> Tensor:
        return torch.arange(16).repeat(self.steps_per_epoch)


def test_every_place_of_every_epoch_has_draws_of_its_own(tiny: Tiny) -> None:
    for setting in ({"erase": 1.0}, {"mixup": 0.8}):
        config = tiny(**setting)
        stream = SameImages(data_of(config), config)
        epochs = [itertools.islice(stream.batches(first=first), 2) for first in (0, 5)]
        made = {images.numpy().tobytes() for epoch in epochs for images, _ in epoch}
        assert len(made) == 4
