"""Shared by all tests: one seed, a Ctrl-C that is heard, and a clean compiler."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Start every test from one seed."""
    torch = sys.modules.get("torch")
    if torch is not None:  # tests of the wing without torch stay without it
        torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_is_heard() -> None:
    """Hear Ctrl-C also where a script started pytest in its background, deaf to it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def dynamo() -> Iterator[None]:
    """Forget compiled graphs before and after."""
    import torch

    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
