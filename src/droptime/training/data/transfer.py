"""From the host to the device, without a wait for the device."""

from __future__ import annotations

import torch
from torch import Tensor


def send(values: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the CPU to the device.

    A GPU fetches from pinned memory by itself; any other copy ends only when all work that was
    given to the GPU before is done.
    """
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
