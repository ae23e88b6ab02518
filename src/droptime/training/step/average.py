"""An exponential moving average of weights, kept beside them and measured in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from droptime.training.processes.spread import own_parts


class WeightAverage:
    """Average every weight and buffer of a model; a sharded model's average is sharded alike.

    Costs one copy of the weights and one pass over them an update.

    Args:
        model: begins as its own average.
        decay: part of the average that an update keeps, in (0, 1).

    >>> layer = torch.nn.Linear(1, 1, bias=False)
    >>> _ = layer.weight.data.fill_(0.0)
    >>> average = WeightAverage(layer, decay=0.9)
    >>> _ = layer.weight.data.fill_(1.0)
    >>> average.update()
    >>> with average.in_place():
    ...     round(layer.weight.item(), 3)
    0.1
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self._model, self._decay = model, decay
        self._live = model.state_dict()
        self._kept = {name: value.detach().clone() for name, value in self._live.items()}
        drifting = [name for name, value in self._kept.items() if value.is_floating_point()]
        self._drifting = own_parts(self._kept[name] for name in drifting)
        self._followed = own_parts(self._live[name] for name in drifting)
        self._copied = [name for name in self._kept if name not in set(drifting)]

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the weights; what is not a float is taken as it is."""
        torch._foreach_lerp_(self._drifting, self._followed, 1 - self._decay)
        for name in self._copied:
            self._kept[name].copy_(self._live[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the model hold the average inside the block, and its own weights after it."""
        names = list(self._kept)
        self._exchange(names)
        try:
            yield
        finally:
            self._exchange(names[::-1])  # weights under two names come back as they went

    def state_dict(self) -> dict[str, Tensor]:
        """Return the average, under the names of the weights."""
        return dict(self._kept)

    @torch.no_grad()
    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to where :meth:`state_dict` was taken."""
        for name, value in self._kept.items():
            value.copy_(tensors[name])

    @torch.no_grad()
    def _exchange(self, names: Iterable[str]) -> None:
        live = self._model.state_dict()  # a sharded model shards itself here
        for name in names:
            own = live[name].clone()
            live[name].copy_(self._kept[name])
            self._kept[name].copy_(own)
