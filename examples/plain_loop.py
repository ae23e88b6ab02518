"""Early dropout in a loop of your own: three lines.

Run: python examples/plain_loop.py
"""

from __future__ import annotations

import argparse

import torch
from torch import nn

import droptime as dt


def main(epochs: int = 20, samples: int = 2048) -> None:
    """Learn the parity of three signs, with dropout for the first half of the run."""
    torch.manual_seed(0)
    x = torch.randn(samples, 16)
    y = (x[:, :3] > 0).sum(1) % 2
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, y), batch_size=128, shuffle=True
    )
    model = nn.Sequential(
        *(nn.Linear(16, 128), nn.ReLU(), nn.Dropout(0.0)),
        *(nn.Linear(128, 128), nn.ReLU(), nn.Dropout(0.0)),
        nn.Linear(128, 2),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    clock = dt.Clock(epochs=epochs, steps_per_epoch=len(loader))  # 1
    drop = dt.DropScheduler(model, dropout="early(0.2, until=50%)", clock=clock)  # 2
    print(drop.plan)

    for epoch in range(epochs):
        rate = drop.get_last_rates()["dropout"]
        for inputs, labels in loader:
            loss = nn.functional.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            drop.step()  # 3
        print(f"epoch {epoch}: rate {rate:.3f}, loss {loss.item():.3f}")
    drop.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=2048)
    main(**vars(parser.parse_args()))
