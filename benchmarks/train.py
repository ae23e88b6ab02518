"""Images per second of training: this engine, timm's own script, torch alone with and without data.

    python benchmarks/train.py --timm-train PATH/train.py [--cases NAME ...] [--out train.json]

Every way trains the same timm model on the same folder of image files, at the same batch,
precision, augmentation, optimizer and number of threads, as a process of its own. A round runs
every way once, in an order that is shuffled anew, and ratios are taken within a round.

Each step a way says how long it took and how much of that it waited for data. From the epochs after
the first: ``step`` is a step without its data; ``steady`` a step with data, the first of each epoch
left out; ``epoch`` the wall time of a whole epoch between the ends of two, as seen from outside, so
that an epoch's own start (workers, first batch) is in it, and imports, building and evaluation are
not. ``cpu`` is the processor time of an epoch, of all processes. Ways that can decode in other
processes first try 0, 1 and 2 of them and keep what was fastest.

"step alone" is the plain loop's step on one batch, again and again, with the engine's allocation of
memory: with the same layers, all that a better loop could reach.

timm's script is not part of this project: get ``train.py`` from huggingface/pytorch-image-models.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from measuring import conditions, quartiles, write
from train_cases import CASES, Case, write_folder
from train_watch import Watched, Way, watch

HERE = Path(__file__).parent
IN_MEMORY, FILES = "droptime, in memory", "droptime, files"


def ways(case: Case, data: Path, options: argparse.Namespace) -> dict[str, list[Way]]:
    """The ways to train, each with its choices of workers."""
    run = json.dumps({"case": case.name, "data": str(data), "epochs": options.epochs + 2})

    def ours(way: str, workers: Sequence[int]) -> list[Way]:
        script = str(HERE / "train_ways.py")
        return [Way([script, way, str(number), run], number) for number in workers]

    found = {
        IN_MEMORY: ours("memory", [0]),
        FILES: ours("files", options.workers),
        "plain loop": ours("plain", options.workers),
        "step alone": ours("step", [0]),
    }
    if options.timm_train:
        command = [str(options.timm_train.resolve()), *case.timm_arguments(data)]
        command += ["--epochs", str(options.epochs + 2)]
        found["timm's script"] = [
            Way([*command, "--workers", str(number)], number) for number in options.workers
        ]
    return found


def measure(case: Case, data: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each way; ratios are times of another way over those of this engine's."""

    def run(way: Way) -> Watched:
        with tempfile.TemporaryDirectory() as scratch:
            return watch(way, epochs=options.epochs, threads=options.threads, scratch=scratch)

    best, tried = {}, {}
    for name, choices in ways(case, data, options).items():
        if len(choices) > 1:
            seconds = {way.workers: run(way).epoch for way in choices}
            tried[name] = {str(number): round(taken, 2) for number, taken in seconds.items()}
            choices = [min(choices, key=lambda way: seconds[way.workers])]
        best[name] = choices[0]
    print(f"{case.name}: epoch seconds by workers {tried}", flush=True)
    seen: dict[str, list[Watched]] = {name: [] for name in best}
    order, shuffle = list(best), random.Random(0)
    for turn in range(options.rounds):
        shuffle.shuffle(order)
        for name in order:
            seen[name].append(run(best[name]))
        print(
            f"{case.name} {turn}:", {n: round(s[-1].epoch, 2) for n, s in seen.items()}, flush=True
        )
    return [row(case, name, best[name], seen, tried.get(name, {})) for name in best]


def row(
    case: Case, name: str, way: Way, seen: dict[str, list[Watched]], tried: dict[str, float]
) -> dict[str, Any]:
    """What was measured of one way, and how many times as long it takes as this engine's two."""
    found: dict[str, Any] = {"case": case.name, "way": name, "workers": way.workers}
    if tried:
        found["epoch_s_by_workers"] = tried
    for what in ("step", "steady", "epoch", "cpu"):
        times = _times(seen[name], what)
        images = case.batch * (seen[name][0].steps if what in ("epoch", "cpu") else 1)
        found[f"{what}_images_per_s"] = round(float(images / np.median(times)), 1)
        for other in (IN_MEMORY, FILES):
            ratio, spread = quartiles(times / _times(seen[other], what))
            short = other.removeprefix("droptime, ").replace(" ", "_")
            found |= {f"{what}_over_{short}": ratio, f"{what}_over_{short}_quartiles": spread}
    found["memory_mb"] = round(float(np.median([one.memory for one in seen[name]])))
    return found


def _times(seen: Sequence[Watched], what: str) -> np.ndarray:
    return np.array([getattr(one, what) for one in seen])


def main() -> None:
    """Measure, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timm-train", type=Path, help="timm's train.py; none: without it")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared/data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2, help="measured in each run, after one")
    parser.add_argument("--steps", type=int, help="of an epoch; none: the case's")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 1, 2], help="to choose from")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows, images = [], {}
    cases = [CASES[name] for name in options.cases]
    if options.steps:
        cases = [replace(case, count=options.steps * case.batch) for case in cases]
    with conditions(
        timm=version("timm"),
        precision="float32",
        threads=options.threads,
        rounds=options.rounds,
        epochs=options.epochs,
    ) as found:
        for case in cases:
            with tempfile.TemporaryDirectory() as folder:
                images[case.name] = write_folder(case, options.shared, Path(folder))
                print(f"{case.name}: {images[case.name]}", flush=True)
                rows += measure(case, Path(folder), options)
    found["cases"] = {case.name: {**case.describe(), "data": images[case.name]} for case in cases}
    for each in rows:
        print("  ".join(f"{name}: {value}" for name, value in each.items()))
    write(options.out, found, rows)


if __name__ == "__main__":
    main()
