"""Every mean, difference and interval on the result pages, again from the tables beside them.

So are the tables of training speed, from what their benchmarks wrote.

By numpy and scipy alone: none of it goes through ``droptime``.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

RESULTS = Path(__file__).parents[2] / "docs" / "results"
NUMBER = re.compile(r"[+\N{MINUS SIGN}]?\d+\.\d+")


def _table(path: str) -> list[dict[str, str]]:
    with (RESULTS / path).open(newline="") as lines:
        return list(csv.DictReader(lines))


def _lines(page: str, columns: int) -> Iterator[list[str]]:
    for line in (RESULTS / page).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == columns:
            yield cells


def _interval(values: Sequence[float]) -> list[float]:
    """Mean, low and high: the one-sample t interval."""
    mean = float(np.mean(values))
    low, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=stats.sem(values))
    return [mean, float(low), float(high)]


def _says(cell: str, expected: Sequence[float]) -> None:
    """The cell's numbers are these, each to its own last digit."""
    texts = NUMBER.findall(cell)
    assert len(texts) == len(expected), cell
    for text, value in zip(texts, expected, strict=True):
        half = 0.5 * 10.0 ** -len(text.split(".")[1])
        said = float(text.replace("\N{MINUS SIGN}", "-"))
        assert said == pytest.approx(value, rel=0, abs=half * (1 + 1e-9)), cell


def _paired(arm: dict[int, float], base: dict[int, float]) -> list[float]:
    assert arm.keys() == base.keys()
    return _interval([arm[seed] - base[seed] for seed in arm])


@pytest.mark.parametrize(
    ("page", "folder", "columns"),
    [("cifar100.md", "cifar100", 5), ("digits/report.md", "digits", 6)],
)
def test_tables_of_studies(page: str, folder: str, columns: int) -> None:
    rows = _table(f"{folder}/results.csv")
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    lines = [cells for cells in _lines(page, columns) if " ± " in "".join(cells)]
    assert len(lines) == len(arms) == 7
    for arm, cells in zip(arms, lines, strict=True):
        assert cells[0].replace(" ", "-").replace("stochastic-depth", "drop-path") == arm
        for place, (name, scale) in enumerate((("train_loss", 1.0), ("test_accuracy", 100.0))):
            found, base = (
                {int(r["seed"]): float(r[name]) * scale for r in rows if r["arm"] == one}
                for one in (arm, "none")
            )
            mean, low, _ = _interval(list(found.values()))
            _says(cells[place - 4], [mean, mean - low])
            if arm != "none":
                difference = _paired(found, base)
                _says(cells[place - 2], difference)
                bold = difference[1] > 0 or difference[2] < 0
                assert cells[place - 2].startswith("**") == bold


def _measured(name: str, *, relative: bool = False) -> dict[int, dict[int, float]]:
    """Step -> seed -> dropout minus none."""
    values = {
        (row["arm"], int(row["seed"]), int(row["step"])): float(row[name])
        for row in _table("dynamics/dynamics.csv")
    }
    found: dict[int, dict[int, float]] = {}
    for (arm, seed, step), theirs in values.items():
        if arm == "none" and not (relative and theirs == 0):
            ours = values["standard-dropout", seed, step]
            scale = 0.01 * theirs if relative else 1.0
            found.setdefault(step, {})[seed] = (ours - theirs) / scale
    return found


def _phase(name: str, first: float, last: float, *, relative: bool = False) -> list[float]:
    inside = [v for s, v in _measured(name, relative=relative).items() if first <= s <= last]
    return _interval([float(np.mean([step[seed] for step in inside])) for seed in inside[0]])


def test_the_papers_observations() -> None:
    norm, distance, variance, error = list(_lines("dynamics.md", 3))[2:]
    _says(norm[2], _phase("gradient_norm", 1, 620, relative=True))
    _says(distance[2], _phase("distance", 620, 620, relative=True))
    for cells, name in ((variance, "variance"), (error, "error")):
        _says(cells[2], _phase(name, 0, 62) + _phase(name, 310, 620))


def test_what_the_single_steps_say() -> None:
    text = (RESULTS / "dynamics.md").read_text()
    signs = {
        name: {
            step: (low > 0) - (high < 0)
            for step, values in _measured(name).items()
            for _, low, high in [_interval(list(values.values()))]
        }
        for name in ("variance", "error")
    }
    assert "none lay below zero, 5 of GDV and 6 of GDE above" in " ".join(text.split())
    assert [s for s, sign in signs["variance"].items() if sign] == [0, 1, 2, 4, 8]
    assert [s for s, sign in signs["error"].items() if sign] == [0, 1, 2, 4, 8, 620]
    assert {sign for found in signs.values() for sign in found.values()} == {0, 1}


def test_batch_sizes() -> None:
    lines = list(_lines("dynamics.md", 6))[2:]
    rows = _table("dynamics/batch-sizes.csv")
    assert len(lines) == 3
    for batch, count, *cells in lines:
        here = [row for row in rows if row["batch_size"] == batch.replace(",", "")]
        assert len(here) == 3
        assert {row["batches"] for row in here} == {count}
        for place, name in ((0, "variance"), (2, "error")):
            without, effect = (
                _interval([float(row[f"{name}_{kind}"]) for row in here])
                for kind in ("without", "effect")
            )
            _says(cells[place], without[:1])
            _says(cells[place + 1], effect)


def _benchmark(name: str) -> list[dict[str, Any]]:
    path = RESULTS.parents[1] / "benchmarks" / "results" / name
    found: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    return found


def _says_ratio(cell: str, row: dict[str, Any], name: str) -> None:
    if cell == "1":
        assert row[name] == 1
    else:
        _says(cell, [row[name], *row[f"{name}_quartiles"]])


def test_training_beside_others() -> None:
    rows = _benchmark("train.json")
    cases = ["cifar, tiny model", "cifar", "cifar, dropout", "cifar, full", "clothing", "photos"]
    expected = [row for case in cases for row in rows if row["case"] == case]
    ways = {row["way"] for row in rows}
    lines = [cells for cells in _lines("../performance.md", 8) if cells[1] in ways]
    assert len(lines) == len(expected) == 30
    for (_, way, step, epoch, memory, files, cpu, peak), row in zip(lines, expected, strict=True):
        assert way == row["way"]
        assert step == f"{row['step_images_per_s']:.0f}"
        assert epoch == f"{row['epoch_images_per_s']:.0f}"
        assert peak == f"{row['memory_mb']} MB"
        _says_ratio(memory, row, "epoch_over_in_memory")
        _says_ratio(files, row, "epoch_over_files")
        _says_ratio(cpu, row, "cpu_over_in_memory")


def test_utilisation() -> None:
    product, *rows = _benchmark("utilisation.json")
    lines = list(_lines("../performance.md", 7))[-len(rows) :]
    page = (RESULTS.parent / "performance.md").read_text()
    assert f"({product['tflops']} TFLOP/s here)" in page
    for (_, speed, part, spread, ratio, ratios, peak), row in zip(lines, rows, strict=True):
        assert speed == str(row["images_per_s"])
        assert peak == f"{row['peak_MiB']} MiB"
        _says(f"{part} {spread}", [row["utilisation"], *row["utilisation_quartiles"]])
        _says_ratio(f"{ratio} {ratios}".strip(), row, "over_none")
