from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from droptime.errors import ClockError
from droptime.training import TrainConfig
from droptime.training.step.optim import WarmupCosine
from droptime.types import Clock


@given(
    peak=st.floats(1e-6, 10),
    ratio=st.floats(0, 1),
    warmup=st.integers(0, 60),
    rest=st.integers(0, 60),
)
def test_equals_the_papers_table(peak: float, ratio: float, warmup: int, rest: int) -> None:
    floor = peak * ratio
    lr = WarmupCosine(peak=peak, floor=floor, warmup=warmup, total=warmup + rest)
    steps = np.arange(rest)
    falling = floor + 0.5 * (peak - floor) * (1 + np.cos(np.pi * steps / max(rest, 1)))
    table = np.concatenate([np.linspace(0, peak, warmup), falling])
    assert np.allclose([lr(step) for step in range(warmup + rest)], table, rtol=1e-12, atol=0)


def test_settings_are_resolved_by_the_clock() -> None:
    config = TrainConfig(data="digits", lr=1.0, min_lr=0.5, warmup="2ep")
    lr = WarmupCosine.of(config, Clock(epochs=10, steps_per_epoch=5))
    assert (lr.warmup, lr.total, lr.peak, lr.floor) == (10, 50, 1.0, 0.5)


def test_warmup_longer_than_the_run() -> None:
    config = TrainConfig(data="digits", warmup="11ep")
    with pytest.raises(ClockError, match="past the end"):
        WarmupCosine.of(config, Clock(epochs=10, steps_per_epoch=5))
