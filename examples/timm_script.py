"""A loop in the manner of timm's train.py: mixup, EMA, a ViT, and a curve from the environment.

Run: DROPTIME="drop_path=early(0.3, until=50%)" python examples/timm_script.py
Without the variable nothing is driven: the same script is the arm without a schedule.
"""

from __future__ import annotations

import argparse

import timm
import torch
from timm.data import Mixup
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import ModelEmaV3

import droptime as dt


def main(epochs: int = 5, updates: int = 20, accumulate: int = 2) -> None:
    """Train a small ViT on noise with labels, two batches to an update."""
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, depth=4, num_classes=10
    )
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.05)
    rates, _ = create_scheduler_v2(
        optimizer, num_epochs=epochs, step_on_epochs=False, updates_per_epoch=updates
    )
    ema = ModelEmaV3(model, decay=0.99)
    mixup = Mixup(mixup_alpha=0.8, num_classes=10)
    criterion = SoftTargetCrossEntropy()

    drop = dt.from_env(model, clock=dt.Clock(epochs=epochs, steps_per_epoch=updates))

    for epoch in range(epochs):
        for update in range(updates):
            for _ in range(accumulate):
                images, labels = mixup(torch.randn(8, 3, 32, 32), torch.randint(10, (8,)))
                (criterion(model(images), labels) / accumulate).backward()
            optimizer.step()
            optimizer.zero_grad()
            drop.step()  # beside the optimizer's step, outside the accumulation
            ema.update(model)
            rates.step_update(epoch * updates + update + 1)
        print(f"epoch {epoch}: {drop.get_last_rates()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--updates", type=int, default=20)
    main(**vars(parser.parse_args()))
