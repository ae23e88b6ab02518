"""``dynamics.csv``: one line for every measurement of gradients, full precision, for any tool."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO

from droptime.records import DynamicsRow, Estimate, Study

CONDITIONS = ("step", "epoch", "batches", "batch_size", "halved", "reference")


def dynamics_csv(study: Study) -> str:
    """Return the measurements of finished runs as CSV text; empty if there is none.

    Each value has its standard error over mini-batches beside it, under ``<name>_se``. What a row
    does not have is an empty cell.
    """
    measured = [(run, row) for run in study.finished for row in run.dynamics]
    if not measured:
        return ""
    names = list(dict.fromkeys(name for _, row in measured for name in row.values))
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    headers = [header for name in names for header in (name, f"{name}_se")]
    table.writerow(("arm", "seed", *CONDITIONS, *headers))
    for run, row in measured:
        conditions = [getattr(row, name) for name in CONDITIONS]
        table.writerow((run.arm, run.seed, *conditions, *_cells(row, names)))
    return text.getvalue()


def _cells(row: DynamicsRow, names: list[str]) -> Iterator[float | str]:
    for name in names:
        found: Estimate | None = row.values.get(name)
        yield from ("", "") if found is None else (found.value, found.error)
