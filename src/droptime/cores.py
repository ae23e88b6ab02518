"""The cores of this machine that are this process's to use."""

from __future__ import annotations

import os

SHARE = "DROPTIME_CORES"
"""Variable by which a study tells a worker how many cores are its own."""


def cores() -> int:
    """How many cores this process may use: its share of those it is allowed to run on.

    torchrun's processes on a machine (``LOCAL_WORLD_SIZE``) and a study's workers share them.
    """
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    if share := os.environ.get(SHARE):
        allowed = min(allowed, int(share))
    return max(1, allowed // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
