"""A linear schedule under torch.compile: graphs made, fraction dropped, scale of what is kept.

    python benchmarks/compiled_schedule.py [--steps 24] [--kinds NAME ...] [--out FILE.json]
    python benchmarks/compiled_schedule.py --caches [--out FILE.json]

For each kind of site a model that does nothing but drop runs compiled (Inductor, fullgraph=True)
through early(0.6) and a few steps beyond. Beside it the same rates set by hand on the undriven
model, the way of a loop over modules. ``--caches`` runs the driven half in two processes that share
one new folder for Inductor's caches: the first finds it empty, the second finds every graph there.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.backends.registry import lookup_backend
from torch._dynamo.utils import counters

import droptime as dt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.compiled_kinds import KINDS, Kind


class Measured:
    """The largest deviations of one kind over a schedule."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.x = kind, torch.ones(kind.shape)
        self.sigmas = self.scale = 0.0

    def see(self, rate: float, y: Tensor) -> None:
        """Judge the output of one forward."""
        sigmas, scale = self.kind.errors(rate, y)
        self.sigmas, self.scale = max(self.sigmas, sigmas), max(self.scale, scale)

    def row(self) -> dict[str, float | None]:
        """The deviations; None where it dropped at rate 0 or kept nothing."""
        sigmas = round(self.sigmas, 2) if math.isfinite(self.sigmas) else None
        return {
            "largest deviation (sd)": sigmas,
            "largest scale error": float(f"{self.scale:.1e}"),
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


def _rates(steps: int) -> list[float]:
    schedule = dt.early(0.6, until=f"{steps}st").resolve(dt.Clock(total_steps=steps + 4))
    return [schedule(step) for step in range(steps + 3)]


def driven(kind: Kind, steps: int) -> dict[str, Any]:
    """Run one kind through the schedule, driven by droptime."""
    model = kind.build().train()
    curve, clock = dt.early(0.6, until=f"{steps}st"), dt.Clock(total_steps=steps + 4)
    drop = dt.DropScheduler(model, **kind.drive(curve), clock=clock)
    call, graphs = compiled(model, fullgraph=kind.fullgraph)
    measured = Measured(kind)
    for rate in _rates(steps):
        measured.see(rate, call(measured.x))
        drop.step()
    return {
        "rates": len(set(_rates(steps)) - {0.0}),
        "training graphs": len(graphs),
        **measured.row(),
    }


def by_hand(kind: Kind, steps: int) -> dict[str, Any]:
    """Set the same rates on the float of the undriven model."""
    model = kind.build().train()
    call, graphs = compiled(model, fullgraph=False)
    measured = Measured(kind)
    for rate in _rates(steps):
        for module in model.modules():
            if isinstance(getattr(module, kind.attribute, None), float):
                setattr(module, kind.attribute, rate)
        measured.see(rate, call(measured.x))
    row = {"training graphs": len(graphs), **measured.row()}
    return {f"{name} by hand": value for name, value in row.items()}


def in_two_processes(kinds: list[str], steps: int) -> list[dict[str, Any]]:
    """Measure with an empty folder of caches, then in a new process with the filled one."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for caches in ("cold", "warm"):
            out = Path(folder) / f"{caches}.json"
            command = [sys.executable, __file__, "--driven", "--out", str(out)]
            command += ["--steps", str(steps), "--kinds", *kinds]
            environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(Path(folder) / "caches")}
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
            rows += [{"caches": caches, **row} for row in json.loads(out.read_text())["rows"]]
    return rows


def _hits() -> int:
    """Graphs that were found in AOTAutograd's cache, else in Inductor's own."""
    return int(
        counters["aot_autograd"]["autograd_cache_hit"] or counters["inductor"]["fxgraph_cache_hit"]
    )


def measure(name: str, steps: int, *, beside: bool) -> dict[str, Any]:
    """One row of the table; with ``beside``, the rates set by hand are in it too."""
    torch.manual_seed(0)
    counters.clear()
    row = {"kind": name, **driven(KINDS[name], steps)}
    return row | by_hand(KINDS[name], steps) if beside else row | {"cache hits": _hits()}


def main() -> None:
    """Measure, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--caches", action="store_true", help="cold and warm, in two processes")
    parser.add_argument("--driven", action="store_true", help="leave out the rates set by hand")
    options = parser.parse_args()
    torch._logging.set_logs(dynamo=logging.ERROR)  # type: ignore[attr-defined]  # the loop by hand hits the recompile limit
    if options.caches:
        rows = in_two_processes(options.kinds, options.steps)
    else:
        rows = [measure(name, options.steps, beside=not options.driven) for name in options.kinds]
    for row in rows:
        print("  ".join(f"{key}: {value}" for key, value in row.items()))
    if options.out:
        result = {"torch": torch.__version__, "device": "cpu", "rows": rows}
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
