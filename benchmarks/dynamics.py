"""Cost of measuring directions: K gradients of ViT-T/16 against the K passes alone.

    python benchmarks/dynamics.py [--gradients 100] [--batch 4] [--out dynamics.json]

Time is CPU time of one thread, which other processes on the machine do not stretch. Each update is
timed right after the pass whose gradient it takes, so that both meet the same clock. The naive twin
stores every gradient in float64 and forms all pairs. Memory is the peak of what the updates
allocate, gradients not counted, in float64 vectors of the model's length. The online form is timed
in turn with plain accumulation, micro-batch by micro-batch, with the 95 % interval (Student) of the
mean over pairs of steps.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils._python_dispatch import TorchDispatchMode

from droptime.dynamics import GradientDirections, OnlineDirections
from droptime.stats import mean_interval

NAIVE = "naive twin: all gradients stored, all pairs formed"


class Peak(TorchDispatchMode):
    """Most bytes alive at once in storages made inside."""

    def __init__(self, given: Iterable[Tensor]) -> None:
        super().__init__()
        self.given = {tensor.untyped_storage().data_ptr() for tensor in given}
        self.views: Counter[int] = Counter()
        self.now = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN204
        """Run one operation, then count."""
        found = func(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, (list, tuple)) else [found]:
            if isinstance(tensor, Tensor):
                self.count(tensor)
        return found

    def count(self, tensor: Tensor) -> None:
        """A storage lives as long as a tensor of it does."""
        place, size = tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes()
        if place not in self.given:
            self.now += size if not self.views[place] else 0
            self.views[place] += 1
            self.peak = max(self.peak, self.now)
            weakref.finalize(tensor, self.forget, place, size)

    def forget(self, place: int, size: int) -> None:
        """One tensor of a storage is gone."""
        self.views[place] -= 1
        self.now -= size if not self.views[place] else 0


def gradient(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor | None]:
    """One forward and backward pass."""
    named = dict(model.named_parameters())
    loss = F.cross_entropy(model(batch[0]), batch[1])
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


def naive(stored: list[Tensor]) -> float:
    """The paper's words: all gradients stored, all pairs formed."""
    units = [g / g.norm() for g in stored]
    pairs = [(i, j) for i in range(len(units)) for j in range(i)]
    return float(np.mean([(1 - float(units[i] @ units[j])) / 2 for i, j in pairs]))


def timed(run: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.thread_time()
    run()
    return time.thread_time() - start


def times(model: nn.Module, data: list[Any]) -> list[dict[str, Any]]:
    """Every way takes in each gradient, in turn, right after the pass that made it."""
    named = dict(model.named_parameters())
    plain, noisy = (GradientDirections(noise=noise).begin(named) for noise in (False, True))
    stored: list[Tensor] = []
    ways: dict[str, Callable[[dict[str, Any]], object]] = {
        "GradientDirections(noise=False)": plain.update,
        "GradientDirections(noise=True)": noisy.update,
        NAIVE: lambda g: stored.append(torch.cat([x.flatten() for x in g.values()]).double()),
    }
    passes, spent = 0.0, dict.fromkeys(ways, 0.0)
    for batch in data:
        held: list[dict[str, Tensor | None]] = []
        passes += timed(lambda: held.append(gradient(model, batch)))  # noqa: B023
        for name, take in ways.items():
            spent[name] += timed(lambda: take(held[0]))  # noqa: B023
    gdv: list[float] = []
    values = {
        "GradientDirections(noise=False)": lambda: gdv.append(plain.variance().value),
        "GradientDirections(noise=True)": lambda: gdv.append(
            (noisy.noise_scale_or_none(), noisy.variance().value)[1]
        ),
        NAIVE: lambda: gdv.append(naive(stored)),
    }
    rows = []
    for name, value in values.items():
        last = timed(value)
        rows.append(
            {
                "what": name,
                "gradients": len(data),
                "passes_s": round(passes, 2),
                "updates_s": round(spent[name], 2),
                "value_s": round(last, 3),
                "time_ratio": round(1 + (spent[name] + last) / passes, 4),
                "gdv": gdv[-1],
            }
        )
    return rows


def memory(
    model: nn.Module, batch: tuple[Tensor, Tensor], count: int, noise: bool
) -> dict[str, Any]:
    """Peak of what the updates make, the gradients themselves not counted."""
    parameters = sum(p.numel() for p in model.parameters())
    given = gradient(model, batch)
    with Peak([*model.parameters(), *(g for g in given.values() if g is not None)]) as peak:
        found = GradientDirections(noise=noise).begin(dict(model.named_parameters()))
        for _ in range(count):
            found.update(given)
        found.variance()
    return {
        "what": f"GradientDirections(noise={noise})",
        "gradients": count,
        "peak_bytes": peak.peak,
        "vectors": round(peak.peak / (8 * parameters), 3),
    }


def online(model: nn.Module, *, micro: int, batch: int, pairs: int) -> dict[str, Any]:
    """Share of an accumulating step, measured at every step.

    Two models take turns, micro-batch by micro-batch, one of them measured; in the other step of a
    pair the other one is, so that what tells the two apart in memory cancels.
    """
    models = model, copy.deepcopy(model)
    watches = [OnlineDirections(each, batch_size=batch) for each in models]

    def step(index: int, batches: list[Any]) -> tuple[float, float]:
        watched, watch = models[index % 2], watches[index % 2]

        def measured(batch: Any) -> None:  # noqa: ANN401
            with watch.micro(index):
                backward(watched, batch)

        seconds = [0.0, 0.0]
        for each in models:
            each.zero_grad()
        for place, given in enumerate(batches):
            turns = [lambda: backward(models[1 - index % 2], given), lambda: measured(given)]  # noqa: B023
            for turn in (0, 1) if place % 2 else (1, 0):
                seconds[turn] += timed(turns[turn])
        return seconds[0], seconds[1] + timed(lambda: watch.step(index))

    shares, plain = [], []
    for pair in range(-1, pairs):  # the first one warms up
        took = np.array([step(2 * pair + turn, drawn(micro, batch)) for turn in (0, 1)])
        if pair >= 0:
            shares.append(took[:, 1].sum() / took[:, 0].sum() - 1)
            plain += took[:, 0].tolist()
    share = mean_interval(shares)
    return {
        "what": "OnlineDirections",
        "micro_batches": micro,
        "batch": batch,
        "pairs": pairs,
        "step_s": round(float(np.median(plain)), 2),
        "share_of_a_measured_step": round(share.mean, 4),
        "interval": [round(share.low, 4), round(share.high, 4)],
    }


def backward(model: nn.Module, batch: Any) -> None:  # noqa: ANN401
    """One micro-batch of a step."""
    F.cross_entropy(model(batch[0]), batch[1]).backward()


def drawn(count: int, batch: int) -> list[tuple[Tensor, Tensor]]:
    """Mini-batches of noise."""
    return [
        (torch.randn(batch, 3, 224, 224), torch.randint(0, 1000, (batch,))) for _ in range(count)
    ]


def main() -> None:
    """Measure, print and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gradients", type=int, default=100)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224", proj_drop_rate=0.1, attn_drop_rate=0.1, pos_drop_rate=0.1
    ).train()
    data = drawn(options.gradients, options.batch)
    gradient(model, data[0])
    rows = times(model, data)
    sizes = [memory(model, data[0], options.gradients, noise) for noise in (False, True)]
    steps = [
        online(model, micro=micro, batch=batch, pairs=pairs)
        for micro, batch, pairs in ((4, 4, 24), (16, 4, 6), (4, 16, 8))
    ]
    conditions = {
        "torch": torch.__version__,
        "timm": timm.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "clock": "CPU time of one thread",
        "threads": torch.get_num_threads(),
        "model": "vit_tiny_patch16_224",
        "parameters": sum(p.numel() for p in model.parameters()),
        "image": 224,
        "batch": options.batch,
    }
    result = {"conditions": conditions, "time": rows, "memory": sizes, "online": steps}
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
