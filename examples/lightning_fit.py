"""Lightning: one callback, which asks the trainer how long the run is.

Run: python examples/lightning_fit.py
"""

from __future__ import annotations

import argparse

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torchvision.models import SwinTransformer

from droptime.adapters.lightning import DropSchedule


class Classifier(LightningModule):
    """A small Swin of torchvision."""

    def __init__(self) -> None:
        super().__init__()
        self.net = SwinTransformer([4, 4], 32, [2, 2], [2, 4], [4, 4], num_classes=10)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Return the loss of a batch."""
        images, labels = batch
        return nn.functional.cross_entropy(self.net(images), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def main(epochs: int = 4, samples: int = 256) -> None:
    """Fit noise, with stochastic depth in the first half and dropout in the second."""
    torch.manual_seed(0)
    images, labels = torch.randn(samples, 3, 32, 32), torch.randint(10, (samples,))
    data = torch.utils.data.TensorDataset(images, labels)
    late = {"attention": "late(0.1, since=50%)"}
    schedule = DropSchedule(drop_path="early(0.2, until=50%)", rates=late)
    trainer = Trainer(
        max_epochs=epochs,
        accumulate_grad_batches=2,
        callbacks=[schedule],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
    )
    trainer.fit(Classifier(), torch.utils.data.DataLoader(data, batch_size=16))
    assert schedule.drop is not None
    print(schedule.drop.clock, schedule.drop.get_last_rates())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--samples", type=int, default=256)
    main(**vars(parser.parse_args()))
