"""A run small enough to train whole in a test: real digits, one block of width 16."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from droptime.training import TrainConfig

Tiny = Callable[..., TrainConfig]

TINY = TrainConfig(
    data="digits",
    train_limit=80,
    test_limit=30,
    model_args={"img_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2},
    epochs=3,
    batch_size=16,
    lr=3e-3,
    warmup="3st",
    log_every=4,
    checkpoint_every=4,
    device="cpu",
)


@pytest.fixture
def tiny() -> Tiny:
    """Return a function that makes the small config with some settings changed."""

    def make(**changes: Any) -> TrainConfig:
        return replace(TINY, **changes)

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread, so that sums are made in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
