"""The rate of a layer drop, agreed across ranks.

A loop over layers compares its rate with a random number of its own and leaves a layer out if the
number is smaller. Where many processes train one model, all must leave out the same layers: the
gradients of a layer that only some ranks ran have no counterpart to be averaged with.
"""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import distributed

from droptime.errors import StateError
from droptime.layers.floats import HeldRate


class LayerRate(HeldRate):
    """A rate that loops over layers compare with a draw.

    In one process it reads as a float, and the draws are the model's own. On many ranks a
    comparison is answered from a stream that all ranks share: a function of a seed (rank 0's
    ``torch.initial_seed()``, sent once), the path of the module and the step. So a run resumed at a
    step drops the same layers, and nothing is sent in forward. The model's own draws still happen,
    and have no effect.
    """

    handed_on = False

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self.seed: int | None = None
        self.stream: random.Random | None = None
        self.stepped = False

    def at(self, step: int, path: str) -> None:
        """Begin the stream of a step. Every rank must call it; the first time it communicates."""
        self.stepped = True
        if _ranks() > 1:
            if self.seed is None:
                self.seed = _agreed_seed()
            self.stream = random.Random(f"{self.seed} {path} {step}")

    @property
    def value(self) -> Any:  # noqa: ANN401 - what compares with a draw
        """What the loop compares with its draw."""
        if self.stream is not None:
            from droptime.layers.answer import answer

            return answer(self._p, self.stream)
        if torch.compiler.is_compiling():
            return self.rate
        if self.stepped and _ranks() > 1:
            raise StateError(
                "Layers are to be dropped, and torch.distributed was initialised after the "
                "DropScheduler was made: make it afterwards, so that all ranks agree on the layers."
            )
        return float(self.p)


def _ranks() -> int:
    ready = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if ready else 1


def _agreed_seed() -> int:
    seeds = [torch.initial_seed()]
    distributed.broadcast_object_list(seeds, src=0)
    return seeds[0]
