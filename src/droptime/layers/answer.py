"""What a loop over layers compares its draws with, where all ranks must get one answer.

Imported where it is needed only: ``torch.compiler.disable`` imports the compiler.
"""

from __future__ import annotations

import random

import torch


class Answer(float):
    """A rate which, compared with a draw, answers for all ranks; compared with 0, for itself."""

    __torch_function__ = None  # a tensor compared with it asks it
    stream: random.Random

    def drops(self, draw: object) -> bool:
        """Whether the layer at hand is dropped."""
        p = float(self)
        return p > 0 if isinstance(draw, (int, float)) and draw == 0 else self.stream.random() < p

    def keeps(self, draw: object) -> bool:
        """Whether it is kept."""
        return not self.drops(draw)

    # never traced: a graph would hold one answer for ever
    __gt__ = __ge__ = torch.compiler.disable(drops)  # type: ignore[no-untyped-call]
    __lt__ = __le__ = torch.compiler.disable(keeps)  # type: ignore[no-untyped-call]


@torch.compiler.disable  # type: ignore[untyped-decorator]
def answer(p: float, stream: random.Random) -> Answer:
    """A rate whose comparisons are answered from a stream."""
    rate = Answer(p)
    rate.stream = stream
    return rate
