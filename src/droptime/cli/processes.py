"""Several processes, one voice: only the first of a launcher's processes prints."""

from __future__ import annotations

import os
import sys


def speaks() -> bool:
    """Return whether this process is the one that prints."""
    return int(os.environ.get("RANK", "0")) == 0


def leave() -> None:
    """Leave the launcher's process group, if this process is in one, before it ends."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
