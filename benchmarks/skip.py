"""Training step with stochastic depth: skipped branches against timm's DropPath, in one run.

    python benchmarks/skip.py [--rounds 15] [--out skip.json]

A ViT at d = 0.5, linear over depth (mean 0.25: with equal work per sample the limit is
1 / 0.75 = 1.33), forward + backward. A round times every way once, in an order that is shuffled
anew, so that a change of the machine's speed meets all of them. Reported: timm's time over each
way's, pair by pair, as median and quartiles; and the most memory that the tensors of one step take.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from measuring import conditions, in_turn, quartiles, write
from torch import nn
from torch.profiler import ProfilerActivity, profile

from droptime import DropScheduler

MODELS: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {"batch": 16},
    "convnext_femto": {"batch": 16},
    "swin_tiny_patch4_window7_224": {"batch": 8},
}
WAYS: dict[str, Any] = {"skip": True, "skip fixed": "fixed", "masked": False}
RATE = 0.5


def ways(name: str) -> dict[str, nn.Module]:
    """The same model with the same weights, each dropping in its own way."""
    model = timm.create_model(name, drop_path_rate=RATE).train()
    models = {"timm": model}
    for way, skip in WAYS.items():
        models[way] = copy.deepcopy(model)
        DropScheduler(models[way], drop_path=f"standard({RATE})", skip=skip)
    models["no drop path"] = timm.create_model(name).train()
    return models


def step(model: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> None:
    """One forward + backward."""
    nn.functional.cross_entropy(model(x), labels).backward()


def peak_bytes(run: Callable[[], None], device: torch.device) -> int:
    """The most memory that tensors made during one call take at once."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        run()
    events = trace.profiler.kineto_results.events()
    changes = [(event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"]
    held = np.cumsum([size for _, size in sorted(changes)])
    return int(held.max())


def measure(name: str, batch: int, rounds: int, device: torch.device) -> list[dict[str, Any]]:
    """One row for each way of one model."""
    torch.manual_seed(0)
    models = {way: model.to(device) for way, model in ways(name).items()}
    x = torch.randn(batch, 3, 224, 224, device=device)
    labels = torch.randint(1000, (batch,), device=device)
    runs = {way: (lambda m=model: step(m, x, labels)) for way, model in models.items()}
    times = in_turn(runs, rounds, device=device)
    memory = {
        way: float(np.median([peak_bytes(run, device) for _ in range(3)]))
        for way, run in runs.items()
    }
    rows = []
    for way in runs:
        faster, spread = quartiles(times["timm"] / times[way])
        rows.append(
            {
                "model": name,
                "batch": batch,
                "way": way,
                "faster": faster,
                "quartiles": spread,
                "milliseconds": round(float(np.median(times[way])) * 1e3, 1),
                "peak_MiB": round(memory[way] / 2**20, 1),
                "memory": round(memory[way] / memory["timm"], 3),
            }
        )
    return rows


def main() -> None:
    """Measure, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    with conditions(
        timm=timm.__version__,
        device=str(options.device),
        threads=options.threads,
        rounds=options.rounds,
        rate=RATE,
    ) as found:
        for name in options.models:
            rows += measure(name, MODELS[name]["batch"], options.rounds, options.device)
    for row in rows:
        low, high = row["quartiles"]
        print(
            f"{row['model']:29} {row['way']:13} {row['faster']:.3f} x [{low:.3f}, {high:.3f}]"
            f" {row['milliseconds']:>8} ms {row['peak_MiB']:>7} MiB ({row['memory']:.3f})"
        )
    write(options.out, found, rows)


if __name__ == "__main__":
    main()
