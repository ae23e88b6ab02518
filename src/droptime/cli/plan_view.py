"""A plan in the terminal: what each driver drives, in columns if they fit and as a list if not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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

    In a section where every note fits beside its row they stand there, else below.
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
    for driver, section in groupby(zip(groups, lines, strict=True), lambda pair: pair[0][0].driver):
        blocks += [Text(), _title(plan, driver)]
        if longest > width:
            blocks += _stacked((group for group, _ in section), width)
        else:
            blocks += _columns(list(section), longest, width)
    if shares := plan.shares():
        blocks += [Text(), *(Text(share, style="dim") for share in shares)]
    return Group(*blocks)


def _columns(
    section: Sequence[tuple[Sequence[Row], str]], longest: int, width: int
) -> Iterator[Text | Padding]:
    notes = [_note(group) for group, _ in section]
    beside = longest + len(_GAP) + max(map(len, notes)) <= width
    for (_, line), note in zip(section, notes, strict=True):
        if beside and note:
            yield Text.assemble(line, _GAP, (note, "dim"))
        else:
            yield Text(line)
            yield from _below(note)


def _stacked(section: Iterable[Sequence[Row]], width: int) -> Iterator[Text | Padding]:
    for group in section:
        path, kind, rate, _ = _cells(group)
        told = f"{kind}, {_sites(len(group))}, rate {rate}"
        parents, dot, name = path.rpartition(".")
        shown = f"{parents}{dot}\n  {name}" if dot and len(path) > width else path
        yield Text(shown, overflow="fold")
        yield from _below("; ".join(filter(None, (told, _note(group)))))


def _cells(group: Sequence[Row]) -> tuple[str, ...]:
    site = group[0].site
    path = paths(group) if site.path else site.attribute
    return path, site.kind, rates(group), str(len(group))


def _note(group: Sequence[Row]) -> str:
    state = group[0].site.state
    return ": ".join(filter(None, ("" if state == "open" else state, group[0].why)))


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
