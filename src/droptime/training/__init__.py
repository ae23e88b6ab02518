"""Training: from one frozen config to a run directory that can be stopped and continued.

The parts that need timm and Accelerate are loaded when a run begins, so that settings can be
read and checked without them.
"""

from __future__ import annotations

from droptime.training.config import TrainConfig
from droptime.training.entry import train, train_from_dict
from droptime.training.events import Event, Listener, Saved, Started
from droptime.training.recipes import digits

__all__ = [
    "Event",
    "Listener",
    "Saved",
    "Started",
    "TrainConfig",
    "digits",
    "train",
    "train_from_dict",
]
