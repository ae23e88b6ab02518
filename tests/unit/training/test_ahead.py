from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from droptime.cores import cores
from droptime.training import TrainConfig
from droptime.training.data import load_data
from droptime.training.data import stream as streams
from droptime.training.data.ahead import one_ahead, room_beside_model
from droptime.training.data.stream import TrainStream

CPU = torch.device("cpu")


def test_batches_made_ahead_are_the_same(
    tiny: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(crop_padding=1, flip=0.5, erase=0.5, mixup=0.8, cutmix=1.0, accumulate=2)
    data = load_data(config, expected_size=8, device=CPU)
    epochs = []
    for room in (False, True):
        monkeypatch.setattr(streams, "room_beside_model", lambda _, room=room: room)
        epochs.append(list(TrainStream(data, config).batches(first=3)))
    assert len(epochs[0]) == len(epochs[1]) > 2
    for (images, targets), (same, alike) in zip(*epochs, strict=True):
        assert torch.equal(images, same)
        assert torch.equal(targets, alike)


def test_items_come_in_order_from_another_thread() -> None:
    made: list[tuple[int, threading.Thread]] = []

    def items() -> Iterator[int]:
        for number in range(4):
            made.append((number, threading.current_thread()))
            yield number

    assert list(one_ahead(items())) == [0, 1, 2, 3]
    assert [number for number, _ in made] == [0, 1, 2, 3]
    assert {thread for _, thread in made} != {threading.main_thread()}
    assert not any(thread.is_alive() for _, thread in made)


def test_the_next_is_made_while_one_is_used() -> None:
    begun = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        begun.set()
        yield 1

    ahead = one_ahead(items())
    assert next(ahead) == 0
    assert begun.wait(timeout=30)


def test_an_error_comes_where_its_item_would() -> None:
    def items() -> Iterator[int]:
        yield 0
        raise ValueError("no more")

    ahead = one_ahead(items())
    assert next(ahead) == 0
    with pytest.raises(ValueError, match="no more"):
        next(ahead)


def test_letting_go_ends_the_thread() -> None:
    threads: list[threading.Thread] = []

    def items() -> Iterator[int]:
        while True:
            threads.append(threading.current_thread())
            yield 0

    ahead = one_ahead(items())
    next(ahead)
    assert threads[0].is_alive()
    ahead.close()
    assert not threads[0].is_alive()


def test_processes_of_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    for name, value, expected in (
        ("LOCAL_WORLD_SIZE", "2", 4),
        ("DROPTIME_CORES", "6", 3),
        ("LOCAL_WORLD_SIZE", "20", 1),
    ):
        monkeypatch.setenv(name, value)
        assert cores() == expected


def test_only_where_the_model_leaves_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPTIME_CORES", "1")
    assert not room_beside_model(CPU)
    assert not room_beside_model(torch.device("cuda"))
