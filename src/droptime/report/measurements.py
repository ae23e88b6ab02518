"""``dynamics.csv``: one line for every measurement of gradients, full precision, for any tool."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from io import StringIO

from droptime.records import Estimate, Study

CONDITIONS = ("step", "epoch", "batches", "batch_size", "halved", "reference")


def dynamics_csv(study: Study) -> str:
    """Return the measurements of finished runs as CSV text; empty if there is none.

    Each value has its standard error over mini-batches beside it, under ``<name>_se``. What a row
    does not have is an empty cell. A group of parameters has a line of its own; in the lines of the
    whole model the column ``group`` is empty.
    """
    measured = [
        (run, row, group, values)
        for run in study.finished
        for row in run.dynamics
        for group, values in {"": row.values, **row.groups}.items()
    ]
    if not measured:
        return ""
    names = list(dict.fromkeys(name for *_, values in measured for name in values))
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    headers = [header for name in names for header in (name, f"{name}_se")]
    table.writerow(("arm", "seed", *CONDITIONS, "group", *headers))
    for run, row, group, values in measured:
        conditions = [getattr(row, name) for name in CONDITIONS]
        table.writerow((run.arm, run.seed, *conditions, group, *_cells(values, names)))
    return text.getvalue()


def _cells(values: Mapping[str, Estimate], names: list[str]) -> Iterator[float | str]:
    for name in names:
        found = values.get(name)
        yield from ("", "") if found is None else (found.value, found.error)
