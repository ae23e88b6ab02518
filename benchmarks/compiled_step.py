"""A compiled training step while a linear schedule runs, and a whole schedule from a cold start.

    python benchmarks/compiled_step.py [--rounds 30] [--ways NAME ...] [--out compiled_step.json]

A small ViT (timm) with dropout everywhere, compiled by Inductor on a CPU, in four ways:

* ``linear``: driven along ``early(0.2)``, another rate at every step;
* ``fixed``: driven at a fixed rate;
* ``stock``: its own layers at a fixed rate, no droptime;
* ``by hand``: its own layers, ``p`` set at every step along the same line. It compiles again for
  each new rate until torch gives up (``recompile_limit``) and runs uncompiled.

Each way has a process and an empty compiler cache of its own. First each runs the whole schedule
from a cold start, alone: to the end, with the phase without dropout behind it. Then a round takes
one training step of every way, inside the dropping phase, in an order that is shuffled anew.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from measuring import conditions, quartiles, seconds, write

WAYS = ("linear", "fixed", "stock", "by hand")
RATE, DROPPING, AFTER = 0.2, 40, 5
MODEL = {"img_size": 64, "patch_size": 8, "depth": 2, "embed_dim": 192, "num_heads": 3}


class Trainee:
    """The model of one way: a training step at any place of the schedule."""

    def __init__(self, way: str, batch: int, backend: str) -> None:
        import timm
        import torch
        from torch._dynamo.backends.registry import lookup_backend

        torch.set_num_threads(1)
        torch.manual_seed(0)
        torch._logging.set_logs(dynamo=logging.ERROR)  # by hand it hits the recompile limit
        self.graphs = 0
        compiler = lookup_backend(backend)

        def counting(graph: Any, inputs: Any) -> Any:  # noqa: ANN401 - torch's own
            self.graphs += 1
            return compiler(graph, inputs)

        rates = dict.fromkeys(("proj_drop_rate", "attn_drop_rate", "pos_drop_rate"), RATE)
        model = timm.create_model("vit_tiny_patch16_224", **MODEL, **rates).train()
        self.go = _driver(way, model)
        self.model = torch.compile(model, backend=counting)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        self.x = torch.randn(batch, 3, MODEL["img_size"], MODEL["img_size"])
        self.labels = torch.randint(1000, (batch,))

    def step(self, i: int) -> None:
        """Put the rate of step ``i`` in force and train."""
        import torch

        self.go(i)
        self.optimizer.zero_grad()
        torch.nn.functional.cross_entropy(self.model(self.x), self.labels).backward()
        self.optimizer.step()

    def schedule(self) -> None:
        """The whole schedule."""
        for i in range(DROPPING + AFTER):
            self.step(i)


def _driver(way: str, model: Any) -> Callable[[int], None]:  # noqa: ANN401 - an nn.Module
    """What puts the rate of a step in force."""
    from torch import nn

    from droptime import Clock, DropScheduler

    def by_hand(i: int) -> None:
        for name, module in model.named_modules():
            if isinstance(module, nn.Dropout) and name != "head_drop":
                module.p = max(0.0, RATE * (1 - i / (DROPPING - 1)))

    if way == "stock":
        return lambda i: None
    if way == "by hand":
        return by_hand
    curve = f"early({RATE}, until={DROPPING}st)" if way == "linear" else f"standard({RATE})"
    drop = DropScheduler(model, dropout=curve, clock=Clock(total_steps=DROPPING + AFTER))
    start = drop.state_dict()
    return lambda i: (
        drop.step() if i == drop.last_step + 1 else drop.load_state_dict(start | {"step": i})
    )


def work(way: str, batch: int, backend: str, cache: str, pipe: Connection) -> None:
    """A process of one way: the whole schedule from a cold start, then the steps asked for."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
    trainee = Trainee(way, batch, backend)
    cold = seconds(trainee.schedule)
    pipe.send({"cold_s": cold, "graphs": trainee.graphs})
    while (i := pipe.recv()) is not None:
        pipe.send(seconds(lambda i=i: trainee.step(i)))


def measure(
    batch: int, rounds: int, *, backend: str, ways: Sequence[str] = WAYS
) -> list[dict[str, Any]]:
    """One row for each way; ``fixed`` and ``stock`` are what the others are compared with."""
    context = multiprocessing.get_context("spawn")
    pipes, found, processes = {}, {}, []
    with tempfile.TemporaryDirectory() as caches:
        for way in ways:
            pipes[way], end = context.Pipe()
            cache = f"{caches}/{len(pipes)}"
            process = context.Process(target=work, args=(way, batch, backend, cache, end))
            process.start()
            processes.append(process)
            end.close()
            found[way] = pipes[way].recv()
            print(f"{way}: {found[way]}", flush=True)
        times: dict[str, list[float]] = {way: [] for way in ways}
        order, shuffle = list(ways), random.Random(0)
        for turn in range(-1, rounds):  # one to warm up
            shuffle.shuffle(order)
            for way in order:
                pipes[way].send(1 + turn % (DROPPING - 2))
                taken = pipes[way].recv()
                if turn >= 0:
                    times[way].append(taken)
        for pipe in pipes.values():
            pipe.send(None)
        for process in processes:
            process.join()
    each = {way: np.array(taken) for way, taken in times.items()}
    rows = []
    for way in ways:
        row = {"way": way, "step_ms": round(float(np.median(each[way])) * 1e3, 2)}
        for other in ("fixed", "stock"):
            ratio, spread = quartiles(each[way] / each[other])
            row |= {f"over_{other}": ratio, f"over_{other}_quartiles": spread}
        rows.append(
            row | {"cold_s": round(found[way]["cold_s"], 1), "graphs": found[way]["graphs"]}
        )
    return rows


def main() -> None:
    """Measure, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--backend", default="inductor")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with conditions(
        model=MODEL,
        batch=options.batch,
        backend=options.backend,
        threads=1,
        rounds=options.rounds,
        steps=DROPPING + AFTER,
    ) as found:
        start = time.perf_counter()
        ways = [way for way in WAYS if way in (*options.ways, "fixed", "stock")]
        rows = measure(options.batch, options.rounds, backend=options.backend, ways=ways)
        print(f"{time.perf_counter() - start:.0f} s")
    for row in rows:
        print("  ".join(f"{name}: {value}" for name, value in row.items()))
    write(options.out, found, rows)


if __name__ == "__main__":
    main()
