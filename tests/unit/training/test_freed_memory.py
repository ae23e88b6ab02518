"""Page faults are counted: a tensor that is freed and made again has new pages, or its old ones."""

from __future__ import annotations

import resource
import sys

import pytest
import torch

from droptime.training.freed_memory import freed_memory_kept

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc only")


def faults() -> int:
    """Page faults of making and freeing a tensor of 48 MiB, after it was done once."""
    torch.ones(12 * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(12 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)


def test_freed_pages_are_used_again_within_the_block_and_given_back_after_it() -> None:
    before = faults()
    assert before >= 5
    with freed_memory_kept(CPU):
        assert faults() < before / 5
    assert faults() > before / 2


def test_another_device_and_a_user_who_decides_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = faults()
    with freed_memory_kept(torch.device("cuda")):
        assert faults() > before / 2
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")
    with freed_memory_kept(CPU):
        assert faults() > before / 2


def test_the_block_may_fail() -> None:
    with pytest.raises(KeyError), freed_memory_kept(CPU):
        raise KeyError
    assert faults() >= 5
