"""One way to train, for ``train.py``: this engine, or torch alone; says each step's times.

python benchmarks/train_ways.py {memory,files,plain,step} WORKERS JSON
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from time import perf_counter

import timm
import torch
from timm.data import Mixup, create_transform
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from train_cases import CASES, Case
from train_watch import say

from droptime.training.data.stream import Batch, TrainStream
from droptime.training.events import nobody
from droptime.training.freed_memory import freed_memory_kept
from droptime.training.settings.config import TrainConfig
from droptime.training.trainer import Trainer

NEVER = 10**9


class Clocked(TrainStream):
    """The batches of a run; says how long each was waited for, and how long its step took."""

    def batches(self, *, first: int = 0) -> Generator[Batch, None, None]:
        """Yield the run's batches; the last step ends when the trainer lets go of them."""
        batches = super().batches(first=first)
        for step in range(first, self.config.epochs * self.steps_per_epoch):
            epoch, place = divmod(step, self.steps_per_epoch)
            asked = perf_counter()
            batch = next(batches)
            waited = perf_counter() - asked
            try:
                yield batch
            finally:
                say(epoch, place, self.steps_per_epoch, perf_counter() - asked, waited)


def settings(case: Case, data: str, *, epochs: int, workers: int, in_memory: bool) -> TrainConfig:
    """This engine's settings."""
    return TrainConfig(
        data=f"folder:{data}",
        model_args=case.model_args,
        epochs=epochs,
        batch_size=case.batch,
        crop_scale=case.crop_scale,
        flip=0.5,
        erase_with="noise",
        normalise="half",
        memory_gb=2.0 if in_memory else 0.0,
        augment_on="device" if in_memory else "cpu",
        workers=workers,
        eval_every=epochs,
        checkpoint_every=NEVER,
        log_every=50,
        device="cpu",
        dropout=f"standard({case.dropout})" if case.dropout else None,
        **case.extra,
    )


def engine(config: TrainConfig) -> None:
    """Train with this project's engine."""
    trainer = Trainer(config, Path("run"), listen=nobody)
    trainer.stream = Clocked(trainer.data, config)
    trainer.run()


def plain(case: Case, data: str, *, epochs: int, workers: int) -> None:
    """Train with torch alone: a loop as one writes it by hand; timm's transforms."""
    transform = create_transform(
        case.side,
        is_training=True,
        scale=(case.crop_scale, 1.0),
        hflip=0.5,
        color_jitter=None,
        auto_augment=case.extra.get("rand_augment"),
        re_prob=case.extra.get("erase", 0.0),
        re_mode="pixel",
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    loader = DataLoader(
        ImageFolder(f"{data}/train", transform),
        case.batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    mix, step = mixing(case), bare_step(case)
    for epoch in range(epochs):
        asked = perf_counter()
        for place, (images, labels) in enumerate(loader):
            if mix is not None:
                images, labels = mix(images, labels)
            waited = perf_counter() - asked
            step(images, labels)
            say(epoch, place, len(loader), perf_counter() - asked, waited)
            asked = perf_counter()


def step_alone(case: Case, *, epochs: int) -> None:
    """Take the plain loop's step on one batch, again and again: what data and a loop add to."""
    images = torch.randn(case.batch, 3, case.side, case.side)
    labels = torch.arange(case.batch) % case.classes
    mix, step, steps = mixing(case), bare_step(case), case.count // case.batch
    if mix is not None:
        images, labels = mix(images, labels)
    with freed_memory_kept(images.device):
        for epoch in range(epochs):
            for place in range(steps):
                begun = perf_counter()
                step(images, labels)
                say(epoch, place, steps, perf_counter() - begun, 0.0)


def mixing(case: Case) -> Mixup | None:
    """Mixup and CutMix of timm, if the case has them."""
    if "mixup" not in case.extra:
        return None
    return Mixup(case.extra["mixup"], case.extra["cutmix"], num_classes=case.classes)


def bare_step(case: Case) -> Callable[[Tensor, Tensor], None]:
    """Forward, backward and AdamW of the case's model, and nothing else."""
    model = timm.create_model(
        "vit_tiny_patch16_224", num_classes=case.classes, **case.dropping_model_args
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    smoothing = 0.0 if "mixup" in case.extra else 0.1

    def step(images: Tensor, labels: Tensor) -> None:
        loss = F.cross_entropy(model(images), labels, label_smoothing=smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    """Train the way that is asked for, in the present folder."""
    way, workers, given = sys.argv[1:]
    run = json.loads(given)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    case, data, epochs = CASES[run["case"]], run["data"], run["epochs"]
    if way == "plain":
        plain(case, data, epochs=epochs, workers=int(workers))
    elif way == "step":
        step_alone(case, epochs=epochs)
    else:
        in_memory = way == "memory"
        engine(settings(case, data, epochs=epochs, workers=int(workers), in_memory=in_memory))


if __name__ == "__main__":
    main()
