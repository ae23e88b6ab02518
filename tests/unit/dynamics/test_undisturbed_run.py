"""A run that is measured ends as one that is not, bit for bit."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from droptime import Clock, DropScheduler, GradientProbe
from droptime.dynamics import (
    OnlineDirections,
    distance_from,
    gradient_norm,
    snapshot,
    whole_gradient,
)
from tests.unit.dynamics.nets import Net, loader, loss_fn

STEPS, MICRO = 5, 3
Measure = Callable[[int], object]


class Probe:
    """What stands in a training loop: around each backward, and before each optimizer step."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.seen = model, 0

    def micro(self, step: int) -> AbstractContextManager[None]:
        return nullcontext()

    def step(self, step: int) -> object:
        return None


class Probing(Probe):
    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.probe = GradientProbe(model, loss_fn, loader(), batches=5, every=2, **self.settings)

    def step(self, step: int) -> object:
        return self.probe.step(step)


class ProbingGroups(Probing):
    settings: ClassVar[dict[str, Any]] = {
        "groups": ["stem.*", "attn.*", "head.*"],
        "reference": 4,
        "vectors": False,
    }


class ProbingOnlyVariance(Probing):
    settings: ClassVar[dict[str, Any]] = {
        "reference": False,
        "paired": False,
        "noise": False,
        "distance": False,
    }


class ProbingItsOwnLoader(Probe):
    """The training loader itself, with its own generator, in the middle of an epoch."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)

    def bind(self, data: Any) -> None:
        self.probe = GradientProbe(self.model, loss_fn, data, batches=5)

    def step(self, step: int) -> object:
        return self.probe.step(step)


class Whole(Probe):
    def step(self, step: int) -> object:
        return whole_gradient(self.model, loss_fn, loader())


class NormAndDistance(Probe):
    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.start = snapshot(model)

    def step(self, step: int) -> object:
        return gradient_norm(self.model, groups="layer"), distance_from(self.model, self.start)


class Online(Probe):
    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.online = OnlineDirections(model, every=2)

    def micro(self, step: int) -> AbstractContextManager[None]:
        return self.online.micro(step)

    def step(self, step: int) -> object:
        return self.online.step(step)


class Failing(Probe):
    """A measurement that breaks off half way."""

    def step(self, step: int) -> object:
        calls = itertools.count()

        def breaks(model: nn.Module, batch: Any) -> torch.Tensor:
            if next(calls) == 7:  # four prove that dropout can be switched off
                raise RuntimeError("broken off")
            return loss_fn(model, batch)

        probe = GradientProbe(self.model, breaks, loader(), batches=5, reference=False)
        with pytest.raises(RuntimeError, match="broken off"):
            probe(step)
        return True


PROBES = [
    Probing,
    ProbingGroups,
    ProbingOnlyVariance,
    ProbingItsOwnLoader,
    Whole,
    NormAndDistance,
    Online,
    Failing,
]


def _train(probe_class: type[Probe], driven: bool) -> dict[str, Any]:
    """Train with everything that draws random numbers; report all that could have changed."""
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    model, data = Net().train(), loader()
    probe = probe_class(model)
    if isinstance(probe, ProbingItsOwnLoader):
        probe.bind(data)
    curves: dict[str, Any] = {
        "dropout": "early(0.4, until=4st)",
        "rates": {"head": "standard(0.2)"},
    }
    drop = DropScheduler(model, clock=Clock(total_steps=STEPS), **curves) if driven else None
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu")
    batches, seen, grads, rates = iter(data), [], [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        for _ in range(MICRO if step % 2 else 2):
            batch = next(batches, None)
            if batch is None:
                batches = iter(data)
                batch = next(batches)
            with probe.micro(step):
                loss: Any = scaler.scale(loss_fn(model, batch))
                loss.backward()
        seen.append(probe.step(step))
        grads.append([None if p.grad is None else p.grad.clone() for p in model.parameters()])
        rates.append((model.drop.p, model.attn.dropout, model.dropout_rate))
        scaler.step(optimizer)
        scaler.update()
        if drop and step < STEPS - 1:
            drop.step()
    assert probe_class is Probe or any(found is not None for found in seen)
    return {
        "state": model.state_dict(),
        "grads": grads,
        "flags": [module.training for module in model.modules()],
        "rates": rates,
        "classes": [type(module).__name__ for module in model.modules()],
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state(legacy=False)["state"],
        "python": random.getstate(),
        "loader": data.generator.get_state(),
        "optimizer": optimizer.state_dict()["state"],
        "scaler": scaler.state_dict(),
    }


@pytest.fixture(scope="module")
def unmeasured() -> dict[bool, dict[str, Any]]:
    return {driven: _train(Probe, driven) for driven in (False, True)}


@pytest.mark.parametrize("driven", [False, True], ids=["plain", "driven"])
@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.__name__)
def test_a_measured_run_is_the_same_run(
    probe: type[Probe], driven: bool, unmeasured: dict[bool, dict[str, Any]]
) -> None:
    measured = _train(probe, driven)
    for key, expected in unmeasured[driven].items():
        assert _same(expected, measured[key]), key


def test_the_comparison_can_fail(unmeasured: dict[bool, dict[str, Any]]) -> None:
    class Careless(Probe):
        def step(self, step: int) -> object:
            return torch.rand(1)

    measured = _train(Careless, driven=False)
    assert not _same(unmeasured[False]["torch"], measured["torch"])
    assert not _same(unmeasured[False]["state"], measured["state"])


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and torch.equal(left, right)
    if isinstance(left, np.ndarray):
        return bool(np.array_equal(left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(_same(left[k], right[k]) for k in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)
