"""A plan: every site of a model and what drives it, as values and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from droptime.sites.site import Site
from droptime.sites.table import aligned, numbered, template
from droptime.types import Rate

_HEADER = ("path", "kind", "attribute", "rate", "sites", "state", "driven by", "why")
_NUMBERS = (3, 4)


@dataclass(frozen=True)
class Row:
    """One site of a plan.

    Attributes:
        site: the site.
        driver: ``"dropout"``, ``"drop_path"``, a selector of ``rates``, or None: left alone.
        factor: share of the driver's rate that this site gets, in [0, 1].
        why: why it is left alone, or what to know.
    """

    site: Site
    driver: str | None
    factor: float
    why: str


@dataclass(frozen=True)
class Plan:
    """What a scheduler would do with each site of a model; ``print`` it for the table.

    Attributes:
        rows: a row for each site, in the model's order.
        profile: how ``drop_path=`` spreads its rate over depth; ``""`` if it drives nothing.
        relative: each driver whose curve is relative, and the highest rate among its sites: a site
            gets its rate divided by that.
    """

    rows: tuple[Row, ...]
    profile: str = ""
    relative: tuple[tuple[str, Rate], ...] = ()

    def driven(self, driver: str) -> tuple[Row, ...]:
        """The rows of one driver."""
        return tuple(row for row in self.rows if row.driver == driver)

    def __str__(self) -> str:
        """One line for all sites that differ only in a number; then the profile over depth."""
        if not self.rows:
            return "No dropout of any kind in this model."
        lines = aligned([_HEADER, *map(_line, self.groups())], right=_NUMBERS)
        return "\n".join([*lines, *self.shares()])

    def groups(self) -> list[tuple[Row, ...]]:
        """The rows, those that differ only in the numbers of their paths together."""
        groups: dict[tuple[object, ...], list[Row]] = {}
        for row in self.rows:
            groups.setdefault(_key(row), []).append(row)
        return [tuple(rows) for rows in groups.values()]

    def shares(self) -> list[str]:
        """A line for each driver that gives its sites different shares of its rate."""
        lines = {name: f"{name} relative: built rate / {top:g}" for name, top in self.relative}
        if self.profile:
            lines["drop_path"] = f"stochastic depth {self.profile}"
        return list(lines.values())


def _key(row: Row) -> tuple[object, ...]:
    site = row.site
    return template(site.path), site.kind, site.attribute, site.state, row.driver, row.why


def paths(group: Sequence[Row]) -> str:
    """The paths of a group as one."""
    return numbered([row.site.path for row in group]) or "(model)"


def rates(group: Sequence[Row]) -> str:
    """The rate of a group's sites now, or the least and the highest."""
    least, most = min(row.site.rate for row in group), max(row.site.rate for row in group)
    return f"{least:g}" if least == most else f"{least:g}..{most:g}"


def _line(group: Sequence[Row]) -> tuple[str, ...]:
    first = group[0]
    return (
        paths(group),
        first.site.kind,
        first.site.attribute,
        rates(group),
        str(len(group)),
        first.site.state,
        first.driver or "-",
        first.why,
    )
