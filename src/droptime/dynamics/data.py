"""Batches that can be walked again and again without moving anyone's random stream."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from droptime.errors import ConfigError, DataError
from droptime.sites.undisturbed import seed

SizeFn: TypeAlias = Callable[[Any], float]


def check_repeatable(data: Iterable[Any]) -> Any:  # noqa: ANN401 - the user's batch
    """Start to walk the data twice, and return a batch.

    Raises:
        DataError: it cannot be walked, is empty, or can be walked only once.
    """
    if isinstance(data, Iterator):
        raise DataError(_ONCE.format(type(data).__name__))
    if not hasattr(data, "__iter__") and not hasattr(data, "__getitem__"):
        raise DataError(
            f"data is a {type(data).__name__}: expected something to walk for batches, such as a "
            "DataLoader or a list."
        )
    with own_generators(data):
        first, second = (next(iter(data), _NOTHING) for _ in range(2))
    if first is _NOTHING:
        raise DataError("data holds no batch: give at least one.")
    if second is _NOTHING:
        raise DataError(_ONCE.format(type(data).__name__))
    return first


def walk(data: Iterable[Any], numbers: Sequence[int]) -> Generator[Any]:
    """Batches in the data's own order; all random streams follow from the numbers.

    What loading draws and what the model draws are seeded apart, so that the same numbers give the
    same batches whatever the model does with them.
    """
    with own_generators(data) as generators:
        for generator in generators:
            generator.manual_seed(seed_of(*numbers))
        seed_streams(*numbers)
        batches = iter(data)
        for index in itertools.count():
            seed_streams(*numbers, index, 0)
            batch = next(batches, _NOTHING)
            if batch is _NOTHING:
                return
            seed_streams(*numbers, index, 1)
            yield batch


def seed_streams(*numbers: int) -> None:
    """Seed every random stream from some numbers, differently on each process."""
    seed(seed_of(*numbers))


def seed_of(*numbers: int) -> int:
    """One seed of several numbers, different on each process.

    Raises:
        ConfigError: a number is not a whole number from 0 on.
    """
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ConfigError(f"seed and step {numbers}: expected whole numbers from 0 on.")
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    rank = torch.distributed.get_rank() if distributed else 0
    return int(np.random.SeedSequence([*numbers, rank]).generate_state(1)[0])


@contextmanager
def own_generators(data: object) -> Iterator[list[torch.Generator]]:
    """A loader's own random generators; afterwards they are as they were."""
    holders = [data, getattr(data, "sampler", None), getattr(data, "batch_sampler", None)]
    found = [getattr(holder, "generator", None) for holder in holders]
    generators = [g for g in found if isinstance(g, torch.Generator)]
    states = [generator.get_state() for generator in generators]
    try:
        yield generators
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def size_of(batch: object) -> float:
    """How many examples a batch holds: the length of the first tensor found in it.

    Raises:
        DataError: there is no tensor with a first dimension.
    """
    tensor = _first(batch)
    if tensor is None or not tensor.ndim or not len(tensor):
        raise DataError(
            f"Cannot tell how many examples a batch ({type(batch).__name__}) holds: give size=, a "
            "function from a batch to the number its mean loss is over."
        )
    return len(tensor)


def _first(value: object) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    items = value.values() if isinstance(value, Mapping) else value
    if not isinstance(items, Iterable) or isinstance(items, (str, bytes)):
        return None
    return next((found for item in items if (found := _first(item)) is not None), None)


_NOTHING = object()
_ONCE = (
    "data ({}) can be walked only once, and every measurement walks it: give a DataLoader or a "
    "list, not a generator or an iterator."
)
