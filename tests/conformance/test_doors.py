"""Every way of training gives the same rates at every forward and the same weights."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from tests.conformance.doors import DOORS, plain
from tests.conformance.scenario import (
    ACCUMULATE,
    BATCHES,
    END,
    STEPS_PER_EPOCH,
    Model,
    Outcome,
    in_two_attempts,
)

SAVED = sorted(random.Random(0).sample(range(1, END), 2))
"""Steps after which the first attempt saves: drawn once, so that no door is tuned to them."""


@pytest.fixture(scope="module")
def reference() -> Outcome:
    """The plain loop, never interrupted."""
    model = Model()
    plain(model, Path(), -1)
    return Outcome(model.tape.rates, model.state_dict(), model.tape.evaluations)


def test_the_scenario_is_what_it_says(reference: Outcome) -> None:
    assert len(reference.rates) == END * ACCUMULATE
    assert [number for number, _, _ in reference.rates[: BATCHES + 1]] == [*range(BATCHES), 0]
    windows = [reference.rates[i : i + ACCUMULATE] for i in range(0, END * ACCUMULATE, ACCUMULATE)]
    assert all(len({(p, path) for _, p, path in window}) == 1 for window in windows)
    assert windows[0][0][1] == 0.6
    assert windows[-1][0][1] == 0.0
    assert windows[-1][0][2] > 0.2
    assert reference.evaluations == END // STEPS_PER_EPOCH


@pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated")
@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
@pytest.mark.parametrize("saved", SAVED)
@pytest.mark.parametrize("name", DOORS)
def test_same_rates_and_same_weights(
    name: str, saved: int, reference: Outcome, tmp_path: Path
) -> None:
    outcome = in_two_attempts(DOORS[name], tmp_path, saved)
    assert outcome.rates == reference.rates
    assert outcome.evaluations >= reference.evaluations
    assert outcome.weights.keys() == reference.weights.keys()
    for key, weight in reference.weights.items():
        assert torch.equal(outcome.weights[key], weight), key
