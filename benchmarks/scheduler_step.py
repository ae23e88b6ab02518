"""What DropScheduler.step costs, in microseconds and as a share of a training step.

    python benchmarks/scheduler_step.py [--batch 4] [--rounds 5] [--out scheduler_step.json]

timm's ViT-B/16 with every site driven, ``dropout=`` and ``drop_path=``. A round is one training
step (forward, backward, AdamW) with one ``step()`` behind it, as in a loop, which finds the caches
full of other things; then many steps in a row.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from measuring import Seconds, conditions, quartiles, seconds, write
from torch import nn

from droptime import Clock, DropScheduler

MODEL = "vit_base_patch16_224"
IN_A_ROW = 1000
CURVES = {
    "nothing changes": {"dropout": "standard(0.1)", "drop_path": "standard(0.2)"},
    "every rate changes": {
        "dropout": "early(0.1, until=100%)",
        "drop_path": "early(0.2, until=100%)",
    },
}


def training_step(model: nn.Module, batch: int, device: torch.device) -> Callable[[], None]:
    """Forward, backward and AdamW on one batch of random images."""
    x = torch.randn(batch, 3, 224, 224, device=device)
    labels = torch.randint(1000, (batch,), device=device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return step


def measure(
    curves: dict[str, str], batch: int, rounds: int, device: torch.device
) -> tuple[int, Seconds, Seconds, Seconds]:
    """Sites driven; seconds of training steps, of the steps behind them, and of steps in a row."""
    model = timm.create_model(MODEL).train().to(device)
    clock = Clock(total_steps=(IN_A_ROW + 1) * rounds + 2)
    drop = DropScheduler(model, clock=clock, **curves)  # type: ignore[arg-type]
    train = training_step(model, batch, device)
    train()
    drop.step()
    training, behind, in_a_row = [], [], []
    for _ in range(rounds):
        training.append(seconds(train, device))
        behind.append(seconds(drop.step, device))
        in_a_row += [seconds(drop.step, device) for _ in range(IN_A_ROW)]
    sites = sum(1 for row in drop.plan.rows if row.driver and row.factor)
    return sites, np.array(training), np.array(behind), np.array(in_a_row)


def main() -> None:
    """Measure, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows: list[dict[str, Any]] = []
    with conditions(
        timm=timm.__version__,
        model=MODEL,
        batch=options.batch,
        device=str(options.device),
        threads=options.threads,
        rounds=options.rounds,
    ) as found:
        for name, curves in CURVES.items():
            sites, training, behind, in_a_row = measure(
                curves, options.batch, options.rounds, options.device
            )
            row: dict[str, Any] = {"step": name, "sites": sites}
            for where, times in (("in_a_row_us", in_a_row), ("behind_training_us", behind)):
                row[where], row[f"{where}_quartiles"] = quartiles(times * 1e6, 2)
            row["training_ms"], row["training_ms_quartiles"] = quartiles(training * 1e3, 1)
            row["share_percent"], row["share_percent_quartiles"] = quartiles(
                100 * behind / training, 5
            )
            print(
                f"{name:18} {sites} sites  {row['in_a_row_us']} us in a row"
                f" {row['in_a_row_us_quartiles']}, {row['behind_training_us']} us behind a training"
                f" step {row['behind_training_us_quartiles']} of {row['training_ms']} ms:"
                f" {row['share_percent']} % {row['share_percent_quartiles']}"
            )
            rows.append(row)
    write(options.out, found, rows)


if __name__ == "__main__":
    main()
