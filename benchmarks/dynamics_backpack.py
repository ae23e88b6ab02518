"""GDV of the same mini-batches by droptime and by BackPACK, on a network that BackPACK knows.

    python benchmarks/dynamics_backpack.py [--batches 16] [--batch 8] [--rounds 7] [--out FILE]

The network is DeepOBS's 3c3d for CIFAR-10 (convolutions, max-pooling, ReLU, linear layers; 895,210
parameters): BackPACK extends modules one by one and knows no attention, so no ViT. It has no
gradient of a mini-batch but those of its images (BatchGrad), all of one pass, of which mini-batch
gradients are means; droptime takes a pass for each mini-batch. GDV is that of the same mini-batches
at the same weights.

Time is CPU time of one thread, of everything from the images to GDV; the ways take turns in a
shuffled order, and ratios are within a round. Memory is the most bytes alive in tensors made
meanwhile, activations and gradients included.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dynamics import Peak, gradient, timed
from measuring import conditions, quartiles, write
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from droptime.dynamics import GradientDirections

Batches = list[tuple[Tensor, Tensor]]


def network() -> nn.Sequential:
    """Three convolutions, three linear layers."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 5), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(64, 96, 3), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(96, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Flatten(), nn.Linear(1152, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(),
        nn.Linear(256, 10),
    )  # fmt: skip


def passes(model: nn.Module, batches: Batches) -> None:
    """The mini-batches' gradients, and nothing made of them."""
    for batch in batches:
        gradient(model, batch)


def droptime(model: nn.Module, batches: Batches) -> float:
    """A pass and an update for each mini-batch."""
    found = GradientDirections(noise=False)
    for batch in batches:
        found.update(gradient(model, batch))
    return found.variance().value


def backpack(model: nn.Module, batches: Batches) -> float:
    """Every image's gradient from one pass, averaged by mini-batch; then all pairs."""
    from backpack import backpack as extensions
    from backpack import extend
    from backpack.extensions import BatchGrad

    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    model, loss_fn = extend(model), extend(nn.CrossEntropyLoss())
    with extensions(BatchGrad()):
        loss_fn(model(images), labels).backward()
    shape = len(batches), len(batches[0][0])
    found: list[Any] = list(model.parameters())
    rows = torch.cat([p.grad_batch.unflatten(0, shape).sum(1).flatten(1) for p in found], 1)
    for p in found:
        del p.grad_batch, p.grad
    units = F.normalize(rows.double())
    cosines, count = units @ units.T, len(units)
    return float((1 - (cosines.sum() - count) / (count * (count - 1))) / 2)


def main() -> None:
    """Measure, print and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batches = [
        (torch.randn(options.batch, 3, 32, 32), torch.randint(0, 10, (options.batch,)))
        for _ in range(options.batches)
    ]
    ways: dict[str, Callable[[nn.Module, Batches], Any]] = {
        "the passes alone": passes,
        "droptime GradientDirections": droptime,
    }
    if (version := installed("backpack-for-pytorch")) is None:
        print("BackPACK is not installed: pip install backpack-for-pytorch")
    else:
        ways["BackPACK BatchGrad"] = backpack
    models = {name: network() for name in ways}
    for model in models.values():
        model.load_state_dict(models["the passes alone"].state_dict())
    parameters = sum(p.numel() for p in models["the passes alone"].parameters())
    with conditions(clock="CPU time of one thread", network="3c3d", parameters=parameters,
                    batches=options.batches, batch=options.batch, rounds=options.rounds,
                    backpack=version) as found:  # fmt: skip
        values = {name: way(models[name], batches) for name, way in ways.items()}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name in random.sample(list(ways), len(ways)):
                seconds[name].append(timed(lambda: ways[name](models[name], batches)))  # noqa: B023
    rows = []
    for name, way in ways.items():
        with Peak(models[name].parameters()) as peak:
            way(models[name], batches)
        ratios = np.array(seconds[name]) / np.array(seconds["the passes alone"])
        middle, between = quartiles(ratios)
        row = {
            "what": name,
            "seconds": round(float(np.median(seconds[name])), 4),
            "times_the_passes": middle,
            "quartiles": between,
            "peak_bytes": peak.peak,
            "gdv": values[name],
        }
        rows.append(row)
        print(row)
    write(options.out, found, rows)


def installed(name: str) -> str | None:
    """The version of a distribution; None if there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
