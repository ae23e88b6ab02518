"""What a run was made with."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

_LIBRARIES = ("droptime", "torch", "timm", "accelerate", "numpy")


def describe(device: torch.device) -> dict[str, str]:
    """Return library versions, device and CPU threads, as text."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "python": platform.python_version(),
        **{library: version(library) for library in _LIBRARIES},
        "device": f"{device.type} ({name})",
        "threads": str(torch.get_num_threads()),
    }
