"""ignite: steps with the engine, and starts where the engine starts."""

from __future__ import annotations

import pytest
from ignite.engine import Engine
from torch import nn

from droptime import Clock, DropScheduler
from droptime.adapters.ignite import attach
from droptime.errors import ConfigError, StateError


def _drop() -> DropScheduler:
    return DropScheduler(
        nn.Sequential(nn.Dropout(0.0)), dropout="standard(0.1)", clock=Clock(total_steps=20)
    )


def test_it_steps_once_per_optimizer_step_across_epochs() -> None:
    drop, seen = _drop(), []
    engine = Engine(lambda engine, batch: seen.append(drop.last_step))
    attach(drop, engine, accumulate=2)
    engine.run(range(3), max_epochs=2)
    assert seen == [0, 0, 1, 1, 2, 2]
    assert drop.last_step == 3


def test_an_engine_that_starts_elsewhere_is_refused() -> None:
    drop = _drop()
    drop.step()
    engine = Engine(lambda engine, batch: None)
    attach(drop, engine)
    with pytest.raises(StateError, match="optimizer step 0, but the DropScheduler is at step 1"):
        engine.run(range(3))


def test_accumulation_is_at_least_one() -> None:
    with pytest.raises(ConfigError, match="accumulate=0"):
        attach(_drop(), Engine(lambda engine, batch: None), accumulate=0)
