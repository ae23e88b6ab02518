"""A plan as a table of plain text, one line for all sites that differ only in a number."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from droptime.sites.plan import Plan, Row

_HEADER = ("path", "kind", "attribute", "rate", "sites", "state", "driven by", "why")
_RIGHT = {3, 4}


def render(plan: Plan) -> str:
    """The table, then how stochastic depth is spread."""
    if not plan.rows:
        return "No dropout of any kind in this model."
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in plan.rows:
        groups.setdefault(_key(row), []).append(row)
    lines = _aligned([_HEADER, *(_line(rows) for rows in groups.values())])
    if plan.profile:
        lines.append(f"stochastic depth {plan.profile}")
    return "\n".join(lines)


def _key(row: Row) -> tuple[object, ...]:
    template = re.sub(r"(?<![^.])\d+(?![^.])", "#", row.site.path)
    return template, row.site.kind, row.site.attribute, row.site.state, row.driver, row.why


def _line(rows: Sequence[Row]) -> tuple[str, ...]:
    first = rows[0]
    rates = sorted({row.site.rate for row in rows})
    rate = f"{rates[0]:g}" if len(rates) == 1 else f"{rates[0]:g}..{rates[-1]:g}"
    site = first.site
    return (
        _path(row.site.path for row in rows) or "(model)",
        site.kind,
        site.attribute,
        rate,
        str(len(rows)),
        site.state,
        first.driver or "-",
        first.why,
    )


def _path(paths: Iterable[str]) -> str:
    """Paths that differ only in numbers as one: ``blocks.{0-11}.drop_path``."""
    columns = zip(*(path.split(".") for path in paths), strict=True)
    return ".".join(_numbers(column) for column in columns)


def _numbers(column: Sequence[str]) -> str:
    if len(set(column)) == 1:
        return column[0]
    numbers = sorted({int(part) for part in column})
    runs = itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    spans = [[number for _, number in run] for _, run in runs]
    texts = (str(span[0]) if len(span) == 1 else f"{span[0]}-{span[-1]}" for span in spans)
    return "{" + ",".join(texts) + "}"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in table) for column in range(len(_HEADER))]
    return [
        "  ".join(
            cell.rjust(width) if column in _RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
