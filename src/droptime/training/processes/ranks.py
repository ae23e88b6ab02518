"""The processes that train one model together: most often one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from droptime.training.seeds import derive

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is, and what they can tell each other.

    With one process nothing is told to anyone, and every answer is its own. Every process must
    call the methods in the same order.

    Attributes:
        index: of this process, from 0.
        count: of all.
        hosts: the group that passes what is not on a device, so that no device is waited for.
    """

    index: int = 0
    count: int = 1
    hosts: Any = None

    @classmethod
    def of_this_process(cls) -> Ranks:
        """Return those of the launcher, once its process group is there."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(
            distributed.get_rank(),
            distributed.get_world_size(),
            distributed.new_group(backend="gloo"),
        )

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.index == 0

    def seed(self, seed: int, *purpose: str | int) -> int:
        """Return a seed of this process's own for one purpose; the first one's as if alone."""
        return derive(seed, *purpose, *([] if self.first else [self.index]))

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over the processes, on the device; ``values`` becomes it."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the processes, on the device; ``values`` may become their sum."""
        return self.total(values) / self.count if self.count > 1 else values

    def every(self, verdict: Tensor) -> bool:
        """Return whether a 0-dim bool is true in every process; one read from the device."""
        return not self.total((~verdict).float()).item()

    def largest(self, number: int) -> int:
        """Return the largest of the processes' numbers, without waiting for a device."""
        if self.count == 1:
            return number
        told = torch.tensor(number)
        distributed.all_reduce(told, distributed.ReduceOp.MAX, group=self.hosts)
        return int(told)

    def gather(self, value: Value) -> list[Value]:
        """Return the values of all processes, in their order."""
        values: list[Any] = [value] * self.count
        if self.count > 1:
            distributed.all_gather_object(values, value, group=self.hosts)
        return values

    def follow_first(self, tensors: Iterable[Tensor]) -> None:
        """Make these tensors the first process's, on the device."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def wait(self) -> None:
        """Return when every process is here."""
        if self.count > 1:
            distributed.barrier(group=self.hosts)
