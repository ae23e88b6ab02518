"""On a CPU, keep the memory of freed tensors in the process instead of asking for it again."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_NEVER, _BY_DEFAULT = 2**31 - 1, 65536
_LARGE = 64 * 2**20


@contextmanager
def freed_memory_kept(device: torch.device) -> Iterator[None]:
    """Let glibc keep what tensors on a CPU free until the end of the block, for the whole process.

    By default glibc gives large blocks back at once, and each tensor of a step has new pages that
    the system must clear: 4 to 20 % of the processor time of a ViT's step. No value changes.
    Peak memory is that of the largest step, as before; after the block it goes back. (Where the
    heap cannot grow in one piece, freed blocks join less and more of them are held.)

    It does nothing on other devices and other C libraries, nor where the user tells the allocator
    what to do (``MALLOC_*``, ``GLIBC_TUNABLES``).

    Args:
        device: where the tensors are.

    Source: mallopt(3), M_MMAP_MAX and M_TRIM_THRESHOLD.
    """
    library = None if device.type != "cpu" or _users_own() else _glibc()
    if library is None:
        yield
        return
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        library.mallopt(_MMAP_MAX, _BY_DEFAULT)
        library.mallopt(_TRIM_THRESHOLD, _LARGE)
        library.malloc_trim(0)


def _users_own() -> bool:
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return "glibc.malloc" in tunables or any(name.startswith("MALLOC_") for name in os.environ)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None
