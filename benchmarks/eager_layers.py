"""Eager cost of droptime's layers against the layers they stand for, side by side in one run.

    python benchmarks/eager_layers.py [--repeats 40] [--out eager_layers.json]

Each repeat times every layer once, forward + backward in training mode, in turn, so that a change
of the machine's speed meets all of them. Reported: the ratio ours/theirs of each repeat, as median
and quartiles.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import conditions, in_turn, quartiles, write
from timm.layers import DropPath as TimmDropPath
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from droptime.layers import Dropout, DropPath

SHAPES = {"ViT-T tokens": (32, 197, 192), "small": (8, 16, 16)}
PAIRS = {
    "Dropout / nn.Dropout": (lambda p: Dropout(p), lambda p: nn.Dropout(p)),
    "DropPath / timm DropPath": (lambda p: DropPath(p), lambda p: TimmDropPath(p)),
    "DropPath / StochasticDepth": (lambda p: DropPath(p), lambda p: StochasticDepth(p, "row")),
}


def step(layer: nn.Module, x: Tensor, gradient: Tensor | None) -> Callable[[], None]:
    """One forward and, with a gradient, backward."""

    def forward() -> None:
        layer(x)

    def forward_backward() -> None:
        layer(x).backward(gradient)

    return forward if gradient is None else forward_backward


def measure(repeats: int) -> list[dict[str, Any]]:
    """One row for each pair of layers, shape and rate; at rate 0, the identity, forward alone."""
    rows = []
    for shape_name, shape in SHAPES.items():
        x = torch.randn(shape, requires_grad=True)
        gradient = torch.randn(shape)
        for rate in (0.1, 0.0):
            for name, pair in PAIRS.items():
                layers = dict(zip(("ours", "theirs"), (make(rate) for make in pair), strict=True))
                runs = {
                    whose: step(layer, x, gradient if rate else None)
                    for whose, layer in layers.items()
                }
                times = in_turn(runs, repeats, at_least=0.03)
                ratio, spread = quartiles(times["ours"] / times["theirs"])
                rows.append(
                    {
                        "layers": name,
                        "shape": shape_name,
                        "rate": rate,
                        "ratio": ratio,
                        "quartiles": spread,
                        "ours_us": round(float(np.median(times["ours"])) * 1e6, 2),
                        "theirs_us": round(float(np.median(times["theirs"])) * 1e6, 2),
                    }
                )
    return rows


def main() -> None:
    """Measure, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with conditions(threads=1, repeats=options.repeats) as found:
        rows = measure(options.repeats)
    for row in rows:
        low, high = row["quartiles"]
        print(
            f"{row['layers']:27} {row['shape']:13} rate {row['rate']:<4}"
            f" {row['ratio']:.3f} [{low:.3f}, {high:.3f}]"
            f"  {row['ours_us']:>9} us / {row['theirs_us']:>9} us"
        )
    write(options.out, found, rows)


if __name__ == "__main__":
    main()
