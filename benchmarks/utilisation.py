"""Model FLOPs utilisation of a training step: what part of the chip's matrix rate the engine uses.

    python benchmarks/utilisation.py [--model vit_t16 --batch 16 --rounds 15] [--out FILE]
    python benchmarks/utilisation.py --model vit_b16 --batch 256 --precision bf16 --compile

One step of this engine on a fixed batch of 224 x 224 images (forward, backward, AdamW, the rates'
own step), without dropout and with each kind of it: at a fixed rate, along a linear schedule that
has another rate at every step, and, for stochastic depth, skipping the branches it drops. A round
times each once and a large matrix product in the same precision beside them, in a shuffled order.

Utilisation is the matrix products of one forward and backward, all branches computed, per second,
over the rate of that one product. A step that skips has fewer of them, and may so exceed the
others; dropout's masks, norms and the optimizer count as nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import conditions, in_turn, quartiles, write
from skip import peak_bytes
from torch.utils.flop_counter import FlopCounterMode

from droptime import Clock
from droptime.training.models.build import make_model
from droptime.training.processes.devices import make_accelerator
from droptime.training.settings.config import TrainConfig
from droptime.training.step.engine import Engine

SIDE, CLASSES, PRODUCT = 224, 1000, "matrix product"
TYPES = {"no": torch.float32, "bf16": torch.bfloat16}


def ways(*, dropout: float, drop_path: float, compiled: bool) -> dict[str, dict[str, Any]]:
    """Settings of each way to drop, by name."""
    fixed = {"drop_path": f"standard({drop_path})"}
    return {
        "no dropout": {},
        "dropout": {"dropout": f"standard({dropout})"},
        "dropout, schedule": {"dropout": f"early({dropout}, until=100%)"},
        "stochastic depth": fixed,
        "stochastic depth, schedule": {"drop_path": f"early({drop_path}, until=100%)"},
        "stochastic depth, skipped": {**fixed, "skip": "fixed" if compiled else "yes"},
    }


def a_step(config: TrainConfig, steps: int) -> tuple[Callable[[], None], torch.device]:
    """One step of the engine on a batch of noise, and where it is taken."""
    torch.manual_seed(0)
    accelerator = make_accelerator(config)
    model = make_model(config, classes=CLASSES, channels=3)
    engine = Engine(model, config=config, clock=Clock(total_steps=steps), accelerator=accelerator)
    images = torch.randn(config.batch_size, 3, SIDE, SIDE, device=accelerator.device)
    labels = torch.arange(config.batch_size, device=accelerator.device) % CLASSES

    def step() -> None:
        engine.update(iter([(images, labels)]), lr=1e-4)
        engine.advance_rates()

    return step, accelerator.device


def flops(config: TrainConfig) -> int:
    """Operations in the matrix products of one forward and backward of the batch, counted."""
    model = make_model(config, classes=CLASSES, channels=3).to("meta")
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # the counter does not know every fused kernel
    images = torch.empty(config.batch_size, 3, SIDE, SIDE, device="meta")
    with FlopCounterMode(display=False) as counter:
        model(images).sum().backward()
    return counter.get_total_flops()


def measure(options: argparse.Namespace) -> tuple[list[dict[str, Any]], torch.device]:
    """One row for each way, and the device."""
    torch._dynamo.config.recompile_limit = 64  # one class for all the models
    base = {
        "data": "digits",  # never read
        "model": options.model,
        "batch_size": options.batch,
        "mixed_precision": options.precision,
        "compile": options.compile,
        "device": options.device,
    }
    ones = ways(dropout=options.dropout, drop_path=options.drop_path, compiled=options.compile)
    runs = {}
    for way, settings in ones.items():
        runs[way], device = a_step(TrainConfig(**base, **settings), options.rounds + 20)
    side = torch.randn(
        options.product, options.product, device=device, dtype=TYPES[options.precision]
    )
    memory = {way: peak_bytes(run, device) for way, run in runs.items()}
    times = in_turn({**runs, PRODUCT: lambda: side @ side}, options.rounds, device=device)
    product, work = 2 * options.product**3, flops(TrainConfig(**base))
    rate, spread = quartiles(product / times[PRODUCT] / 1e12, digits=4)
    rows: list[dict[str, Any]] = [{"way": PRODUCT, "tflops": rate, "tflops_quartiles": spread}]
    for way in runs:
        part, spread = quartiles(work / times[way] / (product / times[PRODUCT]))
        ratio, ratios = quartiles(times[way] / times["no dropout"])
        rows.append(
            {
                "way": way,
                "images_per_s": round(options.batch / float(np.median(times[way])), 1),
                "utilisation": part,
                "utilisation_quartiles": spread,
                "over_none": ratio,
                "over_none_quartiles": ratios,
                "peak_MiB": round(memory[way] / 2**20),
            }
        )
    return rows, device


def main() -> None:
    """Measure, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="vit_t16")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--precision", choices=list(TYPES), default="no")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--drop-path", type=float, default=0.5)
    parser.add_argument("--product", type=int, default=2048, help="side of the matrices")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with conditions(**{k: v for k, v in vars(options).items() if k != "out"}) as found:
        rows, device = measure(options)
        found["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    for row in rows:
        print("  ".join(f"{name}: {value}" for name, value in row.items()))
    write(options.out, found, rows)


if __name__ == "__main__":
    main()
