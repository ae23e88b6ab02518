"""A batch made ahead in a thread beside the model, against one made before each step.

    python benchmarks/train_ahead.py [--threads 1] [--rounds 10] [--out train_ahead.json]

Epochs of 8 steps of this engine, images in memory, on a CPU, in turn with and without; ratios are
taken within a round.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from measuring import conditions, in_turn, quartiles, write
from train_cases import CASES, Case, write_folder
from train_ways import settings

from droptime.training.data import stream
from droptime.training.events import nobody
from droptime.training.freed_memory import freed_memory_kept
from droptime.training.trainer import Trainer

HERE = Path(__file__).parent


def measure(case: Case, shared: Path, rounds: int) -> dict[str, object]:
    """Seconds of an epoch without over one with, as a row."""
    with tempfile.TemporaryDirectory() as folder:
        write_folder(case, shared, Path(folder) / "data")
        config = settings(case, f"{folder}/data", epochs=1, workers=0, in_memory=True)
        trainer = Trainer(config, Path(folder) / "run", listen=nobody)

        def epoch(ahead: bool) -> None:
            stream.room_beside_model = lambda _: ahead
            for batch in trainer.stream.batches():
                trainer.engine.update(iter([batch]), lr=1e-3)

        runs = {"before": lambda: epoch(False), "ahead": lambda: epoch(True)}
        with freed_memory_kept(torch.device("cpu")):
            times = in_turn(runs, rounds)
    ratio, spread = quartiles(times["before"] / times["ahead"])
    return {
        "case": case.name,
        "threads": torch.get_num_threads(),
        "step_ms_ahead": round(float(np.median(times["ahead"])) * 1000 / 8, 1),
        "before_over_ahead": ratio,
        "quartiles": spread,
    }


def main() -> None:
    """Measure, print and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES)[:-1])
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared/data")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    with conditions(precision="float32", rounds=options.rounds, steps_of_an_epoch=8) as found:
        for threads in options.threads:
            torch.set_num_threads(threads)
            for name in options.cases:
                case = replace(CASES[name], count=8 * CASES[name].batch)
                rows.append(measure(case, options.shared, options.rounds))
                print(rows[-1], flush=True)
    write(options.out, found, rows)


if __name__ == "__main__":
    main()
