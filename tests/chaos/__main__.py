"""Disturb runs of ``droptime train`` and compare them with one left alone."""

from __future__ import annotations

import argparse
import platform
import shlex
import shutil
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from droptime.records import write_atomic
from tests.chaos import page
from tests.chaos.notes import ROOT, Notes
from tests.chaos.scenarios import SCENARIOS, Scenario
from tests.chaos.trial import Outcome, Trial, Whole, undisturbed

_DATA = "digits --train-limit 480 --test-limit 60 --flip 0.5 --mixup 0.5"
_MODEL = "--model-args patch_size=4 embed_dim=16 depth=2 num_heads=2"
_RATES = "--dropout early(0.3,until=60%) --drop-path late(0.2,since=40%)"
_STEPS = "--batch-size 16 --epochs 5 --accumulate 2 --clip-grad 1 --ema-decay 0.9 --seed 3"
_SAVES = "--device cpu --log-every 1 --checkpoint-every 7"
RUN = " ".join((_DATA, _MODEL, _RATES, _STEPS, _SAVES)).split()
"""A hundred and fifty steps of all that has a state."""


def main() -> None:
    """Disturb, compare, and write ``docs/results/chaos.json`` and ``docs/reliability.md``."""
    options = _options()
    folder = options.out / "runs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    notes = Notes(options.out / "notes.jsonl")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn()) as progress:
        bar = progress.add_task("left alone", total=sum(each.runs for each in SCENARIOS))
        whole = undisturbed(folder / "whole", RUN)
        for scenario in SCENARIOS:
            for index in range(scenario.runs):
                key = f"{scenario.name}-{index}"
                progress.update(bar, description=key)
                if key not in notes.rows:
                    began = time.perf_counter()
                    outcome = play(scenario, folder / key, index=index, whole=whole)
                    seconds = time.perf_counter() - began
                    notes.add(key, outcome.as_row() | {"seconds": round(seconds, 1)})
                progress.advance(bar)
    results = summary(notes.rows, whole)
    write_atomic(page.RESULTS, page.as_json(results))
    write_atomic(page.PATH, page.render(results))
    print(page.table(results))  # noqa: T201
    if any(each["lost"] for each in results["scenarios"]):
        sys.exit(f"Something was lost: see {notes.path} and {folder}.")


def play(scenario: Scenario, out: Path, *, index: int, whole: Whole) -> Outcome:
    """Disturb one run; the moments depend on scenario and index alone."""
    random = Random(f"{scenario.name} {index}")
    outcome = scenario.play(Trial(out, RUN, random, whole))
    if outcome.good:
        shutil.rmtree(out)
    return outcome


def summary(rows: dict[str, dict[str, Any]], whole: Whole) -> dict[str, Any]:
    """What ``chaos.json`` holds."""
    return {
        "command": shlex.join(["droptime", "train", *RUN]),
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
        "system": f"{platform.system()} {platform.machine()}",
        "steps": whole.steps,
        "seconds_undisturbed": round(whole.seconds, 2),
        "model_sha256": whole.digests["model.safetensors"],
        "seconds": round(sum(row["seconds"] for row in rows.values())),
        "scenarios": [_of_scenario(each, rows) for each in SCENARIOS],
        "runs": rows,
    }


def _of_scenario(scenario: Scenario, rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    own = [row for key, row in rows.items() if key.rpartition("-")[0] == scenario.name]
    outcomes = [Outcome(**{k: v for k, v in row.items() if k != "seconds"}) for row in own]
    return {
        "name": scenario.name,
        "what": scenario.what,
        "runs": len(own),
        "ends": _total(row["ends"] for row in own),
        "notes": _total(row["notes"] for row in own),
        "lost": sum(not outcome.good for outcome in outcomes),
    }


def _total(counts: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "chaos", help="what was seen")
    return parser.parse_args()


if __name__ == "__main__":
    main()
