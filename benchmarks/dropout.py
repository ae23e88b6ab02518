"""droptime's Dropout against nn.Dropout on a CPU in eager, forward + backward, in one run.

    python benchmarks/dropout.py [--rounds 25] [--dtype float32] [--out dropout.json]

Beside the time: the memory that each keeps from forward to backward.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import conditions, in_turn, quartiles, write
from torch import Tensor, nn

from droptime.layers import Dropout

SHAPES = {
    "ViT-T tokens": (32, 197, 192),
    "ViT-T MLP": (32, 197, 768),
    "ViT-T attention": (16, 3, 197, 197),
    "small": (8, 16, 16),
}
RATES = (0.1, 0.5)


def kept_bytes(layer: nn.Module, x: Tensor) -> int:
    """Bytes of the tensors kept for backward."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layer(x)
    return sum(kept.values())


def measure(
    name: str, rate: float, *, threads: int, dtype: torch.dtype, rounds: int
) -> dict[str, Any]:
    """Both layers on inputs of one shape."""
    torch.set_num_threads(threads)
    x = torch.randn(SHAPES[name]).to(dtype).requires_grad_()
    gradient = torch.randn(SHAPES[name]).to(dtype)
    layers = {"ours": Dropout(rate), "theirs": nn.Dropout(rate)}
    runs = {
        name: (lambda layer=layer: layer(x).backward(gradient)) for name, layer in layers.items()
    }
    times = in_turn(runs, rounds, at_least=0.01)
    faster, spread = quartiles(times["theirs"] / times["ours"], 2)
    memory = {name: kept_bytes(layer, x) for name, layer in layers.items()}
    return {
        "input": name,
        "shape": SHAPES[name],
        "rate": rate,
        "threads": threads,
        "faster": faster,
        "quartiles": spread,
        **{f"{name}_us": round(float(np.median(times[name])) * 1e6, 1) for name in layers},
        **{f"{name}_kept_bytes_per_element": memory[name] / x.numel() for name in layers},
    }


def main() -> None:
    """Measure, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    with conditions(rounds=options.rounds, dtype=options.dtype) as found:
        for threads in (1, 2):
            for name in SHAPES:
                for rate in RATES:
                    row = measure(
                        name,
                        rate,
                        threads=threads,
                        dtype=getattr(torch, options.dtype),
                        rounds=options.rounds,
                    )
                    low, high = row["quartiles"]
                    print(
                        f"{name:16} rate {rate} threads {threads}  {row['faster']:.2f} x"
                        f" [{low:.2f}, {high:.2f}]  {row['ours_us']:>9} us, nn.Dropout"
                        f" {row['theirs_us']:>9} us; kept for backward"
                        f" {row['ours_kept_bytes_per_element']:g} and"
                        f" {row['theirs_kept_bytes_per_element']:g} bytes an element"
                    )
                    rows.append(row)
    write(options.out, found, rows)


if __name__ == "__main__":
    main()
