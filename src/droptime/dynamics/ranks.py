"""Data-parallel processes that measured apart, made one."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

from torch import Tensor, distributed

from droptime.dynamics.directions import GradientDirections
from droptime.errors import StateError


def over_ranks(directions: GradientDirections, group: Any = None) -> GradientDirections:  # noqa: ANN401 - torch's ProcessGroup
    """Return the directions of all processes' gradients, the same on each process.

    Communication: the kept sums are all-reduced, one to three float64 vectors of the model's length
    whatever the number of gradients; what standard errors rest on is gathered, ``groups * sketch``
    numbers a gradient. Every process must call it, and may have taken in another number of
    gradients. A sharded model needs no call: its processes measure one vector together.

    Raises:
        StateError: ``torch.distributed`` is not initialised, or the model is sharded.
    """
    _check_initialised()
    if directions.layout.mesh is not None:
        raise StateError("The model is sharded: its processes have measured together already.")
    gathered: list[Any] = [None] * distributed.get_world_size(group)
    distributed.all_gather_object(gathered, directions.kept, group=group)
    merged = copy(directions)
    merged.kept = [kept for rank in gathered for kept in rank]
    merged.sums = {name: summed(pieces, group) for name, pieces in directions.sums.items()}
    return merged


def summed(pieces: Sequence[Tensor], group: Any = None) -> list[Tensor]:  # noqa: ANN401
    """Sum of each piece over the processes.

    Raises:
        StateError: ``torch.distributed`` is not initialised.
    """
    _check_initialised()
    found = [piece.clone() for piece in pieces]
    for piece in found:
        distributed.all_reduce(piece, group=group)
    return found


def summed_numbers(*numbers: float) -> list[float]:
    """Sum of each number over the processes."""
    kept: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(kept, numbers)
    return [sum(column) for column in zip(*kept, strict=True)]


def _check_initialised() -> None:
    if not (distributed.is_available() and distributed.is_initialized()):
        raise StateError(
            "There is one process only: call torch.distributed.init_process_group() first, or "
            "measure with ranks=False."
        )
