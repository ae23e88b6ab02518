"""A run small enough to train whole in a test: real digits, one block of width 16."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from droptime.training import TrainConfig, train
from droptime.training.step.engine import Engine

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


class Killed(Exception):  # noqa: N818 - what happens, not what is wrong
    """Stands for a crash."""


@pytest.fixture
def killed(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that makes a run killed after ten steps, saved after eight."""

    def make(name: str, **settings: Any) -> Path:
        original, calls = Engine.update, iter(range(100))

        def dying(self: Engine, batches: Iterator[Any], *, lr: float) -> Tensor:
            if next(calls) == 10:
                raise Killed
            return original(self, batches, lr=lr)

        with monkeypatch.context() as patch:
            patch.setattr(Engine, "update", dying)
            with pytest.raises(Killed):
                train(tiny(**settings), tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread, so that sums are made in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
