"""Page faults are counted: a tensor that is freed and made again has new pages, or its old ones."""

from __future__ import annotations

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress

import pytest
import torch

from droptime.training.freed_memory import freed_memory_kept

if sys.platform != "linux":
    pytest.skip("glibc only", allow_module_level=True)
import resource


def faults() -> int:
    """Page faults of making and freeing a tensor of 48 MiB, after it was done once."""
    torch.ones(12 * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(12 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def counted() -> dict[str, int]:
    """Count in a process whose heap has no free block of that size yet."""
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"):
        os.environ.pop(name, None)
    found = {"before": faults()}
    with freed_memory_kept(torch.device("cuda")):
        found["another device"] = faults()
    with freed_memory_kept(torch.device("cpu")):
        found["within"] = faults()
    found["after"] = faults()
    with suppress(KeyError), freed_memory_kept(torch.device("cpu")):
        raise KeyError
    found["after it failed"] = faults()
    os.environ["GLIBC_TUNABLES"] = "glibc.malloc.arena_max=1"
    with freed_memory_kept(torch.device("cpu")):
        found["the user decides"] = faults()
    return found


def test_freed_pages_are_used_again_within_the_block_alone() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        found = process.submit(counted).result()
    before = found.pop("before")
    assert before >= 5
    assert found.pop("within") < before / 5
    assert all(count > before / 2 for count in found.values()), found
