"""Shared by all tests: one seed, and a clean compiler."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Start every test from one seed."""
    torch = sys.modules.get("torch")
    if torch is not None:  # tests of the wing without torch stay without it
        torch.manual_seed(0)


@pytest.fixture
def dynamo() -> Iterator[None]:
    """Forget compiled graphs before and after."""
    import torch

    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
