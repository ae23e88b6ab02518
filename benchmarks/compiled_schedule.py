"""A linear schedule under torch.compile: graphs made, fraction dropped, scale of what is kept.

    python benchmarks/compiled_schedule.py [--steps 24] [--out compiled_schedule.json]

For each kind of site a model that does nothing but drop runs compiled (Inductor, fullgraph=True)
through early(0.6) and a few steps beyond. Beside it the same rates set by hand on the undriven
model, the way of a loop over modules.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from timm.layers import DropPath
from torch import Tensor, nn
from torch._dynamo.backends.registry import lookup_backend

import droptime as dt


class Float(nn.Module):
    """Functional dropout of a float attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout_prob = 0.5

    def forward(self, x: Tensor) -> Tensor:
        """Drop."""
        return nn.functional.dropout(x, self.dropout_prob, training=self.training)


class Attention(nn.Module):
    """The weights of ``nn.MultiheadAttention``, so that what is dropped can be counted."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the attention weights, 1 on average."""
        weights: Tensor = self.attention(x, x, x, average_attn_weights=False)[1]
        return weights * x.shape[1]


def _set(model: nn.Module, attribute: str, rate: float) -> None:
    for module in model.modules():
        if isinstance(getattr(module, attribute, None), float):
            setattr(module, attribute, rate)


KINDS: dict[str, tuple[Callable[[], nn.Module], str, str, tuple[int, ...], int]] = {
    # kind: model, argument, attribute set by hand, input, independent draws a forward
    "nn.Dropout": (lambda: nn.Sequential(nn.Dropout()), "dropout", "p", (256, 1024), 2**18),
    "nn.Dropout2d": (
        lambda: nn.Sequential(nn.Dropout2d()),
        "dropout",
        "p",
        (256, 256, 2, 2),
        2**16,
    ),
    "F.dropout": (
        lambda: nn.Sequential(Float()),
        "dropout",
        "dropout_prob",
        (256, 1024),
        2**18,
    ),
    "attention": (Attention, "dropout", "dropout", (64, 32, 16), 64 * 2 * 32 * 32),
    "timm DropPath": (
        lambda: nn.Sequential(DropPath(0.5)),
        "drop_path",
        "drop_prob",
        (2**16, 2),
        2**16,
    ),
}


def compiled(model: nn.Module, *, fullgraph: bool) -> tuple[Callable[[Tensor], Tensor], list[int]]:
    """The compiled model and a list that grows by one for each graph."""
    graphs: list[int] = []
    inductor = lookup_backend("inductor")

    def backend(module: Any, inputs: Any) -> Any:  # noqa: ANN401 - torch's own
        graphs.append(1)
        return inductor(module, inputs)

    torch._dynamo.reset()
    return torch.compile(model, backend=backend, fullgraph=fullgraph), graphs


def measure(kind: str, steps: int) -> dict[str, object]:
    """Run one kind through the schedule, driven and by hand."""
    build, argument, attribute, shape, draws = KINDS[kind]
    x = torch.ones(shape)
    model = build().train()
    curve = dt.early(0.6, until=f"{steps}st")
    drop = dt.DropScheduler(model, **{argument: curve}, clock=dt.Clock(total_steps=steps + 4))  # type: ignore[arg-type]
    full = model.eval()(x)
    call, graphs = compiled(model.train(), fullgraph=True)
    rates, sigmas, scales = [], [], []
    for _ in range(steps + 3):
        rate = drop.get_last_rates()[argument]
        y = call(x)
        kept = y != 0
        deviation = (rate * (1 - rate) / draws) ** 0.5
        off_by = abs((1 - kept.float().mean().item()) - rate)
        rates.append(rate)
        sigmas.append(off_by / deviation if deviation else float(off_by > 0))
        scales.append(((y * (1 - rate) / full)[kept] - 1).abs().max().item())
        drop.step()

    stock = build().train()
    by_hand, stock_graphs = compiled(stock, fullgraph=False)
    for rate in rates:
        _set(stock, attribute, rate)
        by_hand(x)
    return {
        "kind": kind,
        "rates": len({rate for rate in rates if rate}),
        "training graphs": len(graphs),
        "largest deviation (sd)": round(max(sigmas), 2),
        "largest scale error": float(f"{max(scales):.1e}"),
        "training graphs by hand": len(stock_graphs),
    }


def main() -> None:
    """Measure every kind, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch._logging.set_logs(dynamo=logging.ERROR)  # the loop by hand hits the recompile limit
    rows = [measure(kind, options.steps) for kind in KINDS]
    for row in rows:
        print("  ".join(f"{key}: {value}" for key, value in row.items()))
    if options.out:
        result = {"torch": torch.__version__, "device": "cpu", "rows": rows}
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
