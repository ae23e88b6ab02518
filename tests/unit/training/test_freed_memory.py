"""Page faults are counted: a tensor that is freed and made again has new pages, or its old ones."""

from __future__ import annotations

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from droptime.training.freed_memory import freed_memory_kept

if sys.platform != "linux":
    pytest.skip("glibc only", allow_module_level=True)
import resource

NUMBERS = 10 * 2**20  # 40 MiB: by default glibc gives blocks above 32 MiB back
TIMES = 20  # where the heap has other things in between, the first few still have new pages


def faults() -> int:
    """Page faults of making and freeing a tensor many times, after it was done once."""
    torch.ones(NUMBERS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(TIMES):
        torch.ones(NUMBERS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    """Bytes of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def counted() -> dict[str, int]:
    """Count in a process whose heap is new."""
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"):
        os.environ.pop(name, None)
    found = {"before": faults()}
    with freed_memory_kept(torch.device("cuda")):
        found["another device"] = faults()
    os.environ["GLIBC_TUNABLES"] = "glibc.malloc.arena_max=1"
    with freed_memory_kept(torch.device("cpu")):
        found["the user decides"] = faults()
    del os.environ["GLIBC_TUNABLES"]
    with freed_memory_kept(torch.device("cpu")):
        found["within"] = faults()
        held = resident()
    found["given back"] = held - resident()
    with suppress(KeyError), freed_memory_kept(torch.device("cpu")):
        torch.ones(NUMBERS)
        held = resident()
        raise KeyError
    found["given back after an error"] = held - resident()
    return found


def test_freed_pages_are_used_again_within_the_block_alone() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        found = process.submit(counted).result()
    assert found["before"] >= TIMES
    assert found["within"] < found["before"] / 5, found
    for alone in ("another device", "the user decides"):
        assert found[alone] > found["before"] / 2, found
    for then in ("given back", "given back after an error"):
        assert found[then] > 3 * NUMBERS, found
