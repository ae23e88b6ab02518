"""A plan in the terminal: what each driver drives, in columns if they fit and as a list if not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from droptime.sites import Plan
from droptime.sites.plans import Row, paths, rates
from droptime.sites.table import aligned

_HEADER = ("path", "kind", "rate", "sites")
_NUMBERS = (2, 3)
_GAP = "  "


def render_plan(plan: Plan, model: str, *, width: int) -> Group:
    """Return a section for each driver and one for what is left alone, ready for a rich console.

    Notes stand beside their rows if all of them fit there, else below.
    """
    if not plan.rows:
        return Group(Text(f"{model}: no dropout of any kind."))
    drivers = [*dict.fromkeys(row.driver for row in plan.rows if row.driver), None]
    groups = sorted(plan.groups(), key=lambda group: drivers.index(group[0].driver))
    header, *lines = aligned([_HEADER, *map(_cells, groups)], right=_NUMBERS)
    blocks: list[Text | Padding] = [Text(f"{model}: {_sites(len(plan.rows))}", overflow="fold")]
    longest = max(map(len, (header, *lines)))
    if longest <= width:
        blocks.append(Text(header, style="dim"))
    beside = longest + len(_GAP) + max(len(_note(group)) for group in groups) <= width
    for driver, section in groupby(zip(groups, lines, strict=True), lambda pair: pair[0][0].driver):
        blocks += [Text(), _title(plan, driver)]
        for group, line in section:
            if beside:
                row = Text.assemble(line.ljust(longest), _GAP, (_note(group), "dim"))
                row.rstrip()
                blocks.append(row)
            elif longest <= width:
                blocks += [Text(line), *_below(_note(group))]
            else:
                blocks += [Text(_cells(group)[0], overflow="fold"), *_below(_told(group))]
    if shares := plan.shares():
        blocks += [Text(), *(Text(share, style="dim") for share in shares)]
    return Group(*blocks)


def _cells(group: Sequence[Row]) -> tuple[str, ...]:
    site = group[0].site
    path = paths(group) if site.path else site.attribute
    return path, site.kind, rates(group), str(len(group))


def _note(group: Sequence[Row]) -> str:
    state = group[0].site.state
    return ": ".join(filter(None, ("" if state == "open" else state, group[0].why)))


def _told(group: Sequence[Row]) -> str:
    _, kind, rate, _ = _cells(group)
    parts = (f"{kind}, {_sites(len(group))}, rate {rate}", _note(group))
    return "; ".join(filter(None, parts))


def _below(text: str) -> Iterator[Padding]:
    if text:
        yield Padding(Text(text, style="dim"), (0, 0, 0, 2), expand=False)


def _title(plan: Plan, driver: str | None) -> Text:
    rows = [row for row in plan.rows if row.driver == driver]
    if driver is None:
        return Text(f"left alone: {_sites(len(rows))}", style="bold")
    acting = sum(row.factor > 0 for row in rows)
    part = "" if acting == len(rows) else f"{acting} of "
    return Text(f"{driver} drives {part}{_sites(len(rows))}", style="bold")


def _sites(count: int) -> str:
    return f"{count} site" if count == 1 else f"{count} sites"
