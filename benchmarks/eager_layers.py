"""Eager cost of droptime's layers against the layers they stand for, side by side in one run.

    python benchmarks/eager_layers.py [--repeats 40] [--out eager_layers.json]

Each repeat times every layer once, forward + backward in training mode, in turn, so that a change
of the machine's speed meets all of them. Reported: the ratio ours/theirs of each repeat, as median
and quartiles.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import numpy as np
import torch
from timm.layers import DropPath as TimmDropPath
from torch import nn
from torch.utils.benchmark import Timer
from torchvision.ops import StochasticDepth

from droptime.layers import Dropout, DropPath

SHAPES = {"ViT-T tokens": (32, 197, 192), "small": (8, 16, 16)}
PAIRS = {
    "Dropout / nn.Dropout": (lambda p: Dropout(p), lambda p: nn.Dropout(p)),
    "DropPath / timm DropPath": (lambda p: DropPath(p), lambda p: TimmDropPath(p)),
    "DropPath / StochasticDepth": (lambda p: DropPath(p), lambda p: StochasticDepth(p, "row")),
}


def seconds(layer: nn.Module, rate: float, x: torch.Tensor, gradient: torch.Tensor) -> float:
    """Median time of one forward + backward; of the forward alone at rate 0, the identity."""
    statement = "layer(x).backward(gradient)" if rate else "layer(x)"
    names = {"layer": layer, "x": x, "gradient": gradient}
    return Timer(statement, globals=names).blocked_autorange(min_run_time=0.03).median


def measure(repeats: int) -> list[dict[str, object]]:
    """One row for each pair of layers, shape and rate."""
    rows: list[dict[str, object]] = []
    for shape_name, shape in SHAPES.items():
        x = torch.randn(shape, requires_grad=True)
        gradient = torch.randn(shape)
        for rate in (0.1, 0.0):
            for name, (ours, theirs) in PAIRS.items():
                layers = ours(rate), theirs(rate)
                times = np.array(
                    [
                        [seconds(layer, rate, x, gradient) for layer in layers]
                        for _ in range(repeats)
                    ]
                )
                low, middle, high = np.quantile(times[:, 0] / times[:, 1], [0.25, 0.5, 0.75])
                rows.append(
                    {
                        "layers": name,
                        "shape": shape_name,
                        "rate": rate,
                        "ratio": round(float(middle), 3),
                        "quartiles": [round(float(low), 3), round(float(high), 3)],
                        "ours_us": round(float(np.median(times[:, 0])) * 1e6, 2),
                        "theirs_us": round(float(np.median(times[:, 1])) * 1e6, 2),
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
    rows = measure(options.repeats)
    conditions = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "repeats": options.repeats,
    }
    for row in rows:
        low, high = row["quartiles"]  # type: ignore[misc]
        print(
            f"{row['layers']:27} {row['shape']:13} rate {row['rate']:<4}"
            f" {row['ratio']:.3f} [{low:.3f}, {high:.3f}]"
            f"  {row['ours_us']:>9} us / {row['theirs_us']:>9} us"
        )
    if options.out:
        text = json.dumps({"conditions": conditions, "rows": rows}, indent=1)
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
