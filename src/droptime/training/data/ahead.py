"""On a CPU, the next batch is made on cores that the model leaves free."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from droptime.cores import cores

Item = TypeVar("Item")


def room_beside_model(device: torch.device) -> bool:
    """Whether the model is on a CPU and leaves as many cores free as it has threads.

    Without such cores the two would wait for each other: a step takes up to 1.4 times as long.
    """
    return device.type == "cpu" and 2 * torch.get_num_threads() <= cores()


def one_ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """Yield the same items, each made in another thread while the one before is used.

    Its memory is that of one item more. What making one raises is raised where it would be
    yielded.
    """
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(_next, items)
        while (found := coming.result()) is not None:
            coming = thread.submit(_next, items)
            yield found[0]


def _next(items: Iterator[Item]) -> tuple[Item] | None:
    for item in items:
        return (item,)
    return None
