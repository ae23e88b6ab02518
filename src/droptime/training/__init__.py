"""Training: from one frozen config to a run directory that can be stopped and continued.

The parts that need timm and Accelerate are loaded when a run begins, so that settings can be
read and checked without them.
"""

from __future__ import annotations

from droptime.training.entry import train, train_from_dict
from droptime.training.events import Event, Listener, Saved, Started
from droptime.training.models.finetuning import finetune
from droptime.training.settings.config import TrainConfig
from droptime.training.settings.paper_arms import PAPER_ARMS, paper_rate, with_arm
from droptime.training.settings.recipes import (
    basic,
    cifar10,
    cifar100,
    digits,
    image_folder,
    improved,
    late,
    ready,
    tiny_imagenet,
)
from droptime.training.signals import Preempted

__all__ = [
    "PAPER_ARMS",
    "Event",
    "Listener",
    "Preempted",
    "Saved",
    "Started",
    "TrainConfig",
    "basic",
    "cifar10",
    "cifar100",
    "digits",
    "finetune",
    "image_folder",
    "improved",
    "late",
    "paper_rate",
    "ready",
    "tiny_imagenet",
    "train",
    "train_from_dict",
    "with_arm",
]
