"""A layer drop's rate: a float in one process, one answer for all ranks in many."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from droptime import Clock, DropScheduler
from droptime.errors import StateError
from droptime.layers import LayerRate, layer_drop

DRAWS = 4000


class Loop(nn.Module):
    """Four ways in which libraries ask whether to drop."""

    def __init__(self) -> None:
        super().__init__()
        self.layerdrop = 0.1

    def forward(self, draw: Any) -> list[bool]:
        return [
            self.training and bool(draw < self.layerdrop),
            self.layerdrop > 0.0 and bool(draw < self.layerdrop),
            bool(draw <= self.layerdrop),
            not (draw > self.layerdrop),
        ]


def _driven(steps: int = 0) -> tuple[Loop, DropScheduler]:
    loop = Loop()
    rates: Any = {"layer_drop": "standard(0.3)"}
    drop = DropScheduler(loop, rates=rates, clock=Clock(total_steps=100))
    for _ in range(steps):
        drop.step()
    return loop, drop


def test_in_one_process_the_draws_are_the_models() -> None:
    loop, _ = _driven()
    assert type(loop.layerdrop) is float
    for draw in (0.29, torch.tensor(0.29)):
        assert loop(draw) == [True] * 4
    for draw in (0.31, torch.tensor(0.31)):
        assert loop(draw) == [False] * 4


@pytest.fixture
def two_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if another process had been met, which sent seed 7."""
    monkeypatch.setattr(layer_drop, "_ranks", lambda: 2)
    monkeypatch.setattr(layer_drop, "_agreed_seed", lambda: 7)


@pytest.mark.usefixtures("two_ranks")
@pytest.mark.parametrize("draw", [0.99, torch.tensor(0.0)], ids=["number", "tensor"])
def test_on_many_ranks_every_comparison_is_answered_at_the_rate(draw: Any) -> None:
    loop, _ = _driven()
    answers = torch.tensor([loop(draw) for _ in range(DRAWS)]).float().mean(0)
    assert (answers - 0.3).abs().max() < 5 * (0.3 * 0.7 / DRAWS) ** 0.5


@pytest.mark.usefixtures("two_ranks")
def test_answers_are_a_function_of_the_step() -> None:
    def answers(loop: Loop) -> list[list[bool]]:
        return [loop(0.5) for _ in range(20)]

    walked, walking = _driven(steps=3)
    resumed, drop = _driven()
    assert answers(resumed) != answers(walked)
    drop.load_state_dict(walking.state_dict())
    again, _ = _driven(steps=3)
    assert answers(resumed) == answers(again)


@pytest.mark.usefixtures("two_ranks")
def test_at_rate_0_nothing_is_dropped() -> None:
    loop, drop = _driven()
    rate: Any = loop.get_submodule("layerdrop_held")
    rate.p = 0.0
    assert not any(any(loop(0.0)) for _ in range(50))
    drop.close()
    assert loop.layerdrop == 0.1


def test_ranks_met_after_the_scheduler_was_made_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, _ = _driven()
    monkeypatch.setattr(layer_drop, "_ranks", lambda: 2)
    with pytest.raises(StateError, match="make it afterwards"):
        loop(0.5)


def test_a_rate_knows_no_ranks_until_it_is_told_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_drop, "_ranks", lambda: 2)
    assert LayerRate(0.2).value == 0.2  # as droptime.verify uses it, on one rank alone
