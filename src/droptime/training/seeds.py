"""One seed, many independent random streams; and the process's own streams as plain values."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from droptime.records import JSON


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose, unrelated to that of any other.

    >>> derive(0, "order", 1) == derive(0, "order", 1) != derive(0, "order", 2)
    True
    """
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def seed_streams(seed: int) -> None:
    """Seed the process's streams: torch on every device, numpy's and Python's global ones."""
    torch.manual_seed(seed)
    seed_cpu_streams(seed)


def seed_cpu_streams(seed: int) -> None:
    """Seed those of them that transforms of one image draw from; fast enough for each image.

    ``torch.manual_seed`` formats a stack trace for each kind of device that is not in use yet.
    """
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@dataclass(frozen=True)
class Streams:
    """Where every random stream of the process stands.

    Attributes:
        tensors: torch's states: ``"cpu"``, and ``"cuda:0"``, ... or, where each process has a GPU
            of its own, ``"cuda"``.
        values: numpy's and Python's, as JSON.
    """

    tensors: Mapping[str, Tensor]
    values: Mapping[str, JSON]

    @classmethod
    def capture(cls) -> Streams:
        """Note where every stream stands, without moving any."""
        tensors = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            tensors |= {name: torch.cuda.get_rng_state(name) for name in _devices()}
        algorithm, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
        version, internal, gauss_next = random.getstate()
        return cls(
            tensors,
            {
                "numpy": [str(algorithm), np.asarray(keys).tolist(), position, has_gauss, gauss],
                "python": [version, list(internal), gauss_next],
            },
        )

    def restore(self) -> None:
        """Put every stream back; those of GPUs that are not there are left out."""
        for name, state in self.tensors.items():
            if name == "cpu":
                torch.set_rng_state(state)
            elif (torch.device(name).index or 0) < torch.cuda.device_count():
                torch.cuda.set_rng_state(state, name)
        numpy_state: Any = self.values["numpy"]
        np.random.set_state((numpy_state[0], np.array(numpy_state[1], np.uint32), *numpy_state[2:]))
        python_state: Any = self.values["python"]
        random.setstate((python_state[0], tuple(python_state[1]), python_state[2]))


def _devices() -> list[str]:
    """Return the names of this process's GPUs: its own one where each process has one, else all."""
    if distributed.is_available() and distributed.is_initialized():
        return ["cuda"]
    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put every stream back at the end of the block, whatever it drew or seeded."""
    before = Streams.capture()
    try:
        yield
    finally:
        before.restore()
