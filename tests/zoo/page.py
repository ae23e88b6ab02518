"""``docs/zoo.md``: the results as a page, and one examination as text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from droptime.records.files import write_atomic
from tests.zoo.examine import Examination
from tests.zoo.reasons import REASONS

PATH = Path(__file__).parents[2] / "docs" / "zoo.md"

_KINDS = {
    "element": "element",
    "attention": "attention",
    "drop_path": "drop path",
    "layer_drop": "layer drop",
    "head": "head",
    "drop_block": "drop block",
    "patch": "patch",
}

_WHAT = {
    "dead": "does nothing",
    "unknown": "not driven",
    "unproven": "not proved",
    "random": "random at rate 0",
    "not opened": "not opened",
    "not given back": "not given back",
    "failed": "not examined",
}

_AT_ZERO = ("sealed", "absent")
"""What a model lacks because it was built at rate 0; built with rates it has it."""

_INTRODUCTION = """\
# Does it work on models nobody here wrote?

`make zoo` builds a small member of every family of timm, torchvision and transformers twice, once
with every drop rate up and once with all of them at 0, and proves of both:

- **found**: each rate is a site, with its kind, in both builds;
- **opened**: a scheduler takes hold of every site, writes a rate of its own to each kind and reads
  it back, also where only a placeholder stands;
- **acts**: [`droptime.verify`](sites.md#does-it-act-proof-by-effect) raises each site alone and
  sees the output or a gradient change;
- **given back**: after `close()` every attribute of every module, `state_dict` (keys and values)
  and the config are what they were.

A family is *proved* if all of that holds for all of its rates. What is not is listed below with its
reason, and nothing is left out: {models} models were built without weights and their sites
counted, {families} families examined. Parameters that start at 0 were given small values first,
as a step of training would. Conditions: {conditions}, one process on CPU, batches of two.
Raw: [zoo.json](results/zoo.json).
"""


def write(results: dict[str, Any]) -> None:
    """Write the page."""
    write_atomic(PATH, render(results))


def render(results: dict[str, Any]) -> str:
    """The page, from what ``zoo.json`` holds."""
    libraries = list(results.values())
    versions = ", ".join(f"{name} {content['version']}" for name, content in results.items())
    torch = " and ".join(sorted({f"torch {each['torch']}" for each in libraries}))
    introduction = _INTRODUCTION.format(
        models=f"{sum(each['models'] for each in libraries):,}",
        families=sum(len(each["families"]) for each in libraries),
        conditions=f"{torch}, {versions}",
    )
    parts = [introduction, "## In numbers\n", _totals(results), _rates(results)]
    parts += ["## Exceptions\n", _exceptions(results), _unbuilt(results)]
    parts += ["## What only building with a rate can open\n", _at_zero(results)]
    parts += ["## Every family\n", _LEGEND]
    parts += [_families(name, content["families"]) for name, content in results.items()]
    return "\n".join(part for part in parts if part)


def _totals(results: dict[str, Any]) -> str:
    rows = []
    for name, content in results.items():
        verdicts = [row["verdict"] for row in content["families"]]
        counts = [verdicts.count(each) for each in ("no rate", "proved", "exceptions")]
        without = len(content["families without a specimen"])
        rows.append([name, len(verdicts) + without, *counts, without])
    header = ["library", "families", "no rate", "proved", "with exceptions", "no specimen"]
    return _table([header, *_summed(rows)])


def _rates(results: dict[str, Any]) -> str:
    header = ["rates in the specimens", "found", "opened", "act", "hidden", "do nothing"]
    rows = []
    for name, content in results.items():
        for build, title in (("raised", "built with rates"), ("zero", "built at 0")):
            builds = [row[build] for row in content["families"]]
            found = sum(each["driveable"] for each in builds)
            acts, hidden = (_verdicts(builds, verdict) for verdict in ("acts", "hidden"))
            opened = sum(each["opened"] for each in builds)
            dead = _verdicts(builds, "dead") - sum(each["records"] for each in builds)
            rows.append([f"{name}, {title}", found, opened, acts, hidden, dead])
    return _table([header, *rows])


def _verdicts(builds: Iterable[dict[str, Any]], verdict: str) -> int:
    return sum(build["verdicts"].get(verdict, 0) for build in builds)


def _exceptions(results: dict[str, Any]) -> str:
    rows = []
    for name, content in results.items():
        for row in content["families"]:
            groups: dict[tuple[str, str], list[str]] = {}
            for what, where, why in row["findings"]:
                if what not in _AT_ZERO:
                    groups.setdefault((what, why), []).append(where)
            for (what, why), places in groups.items():
                reason = REASONS.get((name, row["family"]), why)
                shown = f"`{places[0]}`" if len(places) == 1 else _like(places)
                rows.append([f"{name} {row['family']}", shown, _WHAT[what], reason])
    if not rows:
        return "None.\n"
    return _table([["family", "where", "what", "why"], *rows])


def _like(places: list[str]) -> str:
    return f"`{places[0]}` and {len(places) - 1} like it"


def _unbuilt(results: dict[str, Any]) -> str:
    rows = [
        [f"{name} {family}", why]
        for name, content in results.items()
        for family, why in (
            content["families without a specimen"] | content["models not built"]
        ).items()
    ]
    return _table([["not built", "why"], *rows]) if rows else ""


def _at_zero(results: dict[str, Any]) -> str:
    """Families by what they lack at rate 0."""
    families: dict[tuple[str, str], list[str]] = {}
    for name, content in results.items():
        for row in content["families"]:
            for what, where, _ in row["findings"]:
                if what in _AT_ZERO:
                    key = what, where.rsplit(".", 2)[-2] if where.count(".") > 1 else where
                    named = f"{name} {row['family']}"
                    if named not in families.setdefault(key, []):
                        families[key].append(named)
    rows = [
        [_STATES[what], f"`{part}`", ", ".join(names)] for (what, part), names in families.items()
    ]
    return _table([["at rate 0", "where", "families"], *rows])


_STATES = {
    "sealed": "a placeholder that lacks settings of its own: driving it is an error",
    "absent": "nothing: no scheduler can know that a rate would be there",
}

_LEGEND = """\
Sites of each kind in the member examined, built with rates. *Models* is how many of the family were
built without weights to count their sites.
"""


def _families(library: str, rows: list[dict[str, Any]]) -> str:
    kinds = [kind for kind in _KINDS if any(kind in row["raised"]["sites"] for row in rows)]
    header = ["family", "member", "models", *(_KINDS[kind] for kind in kinds), "verdict"]
    body = []
    for row in rows:
        sites = row["raised"]["sites"]
        counts = [sites.get(kind, "") for kind in kinds]
        body.append(
            [row["family"], f"`{row['member']}`", row["models"] or "", *counts, _in_short(row)]
        )
    return f"### {library}\n\n" + _table([header, *body])


def _in_short(row: dict[str, Any]) -> str:
    if row["verdict"] != "exceptions":
        return str(row["verdict"])
    build = row["raised"]
    acts = build["verdicts"].get("acts", 0) + build["verdicts"].get("hidden", 0)
    if not build["driveable"]:
        return "not examined" if not build["given back"] else "exceptions"
    return f"{acts} of {build['driveable']} act"


def _summed(rows: list[list[Any]]) -> list[list[Any]]:
    """The rows, and below them their sum if there are several."""
    if len(rows) < 2:
        return rows
    return [*rows, ["**all**", *(sum(column) for column in list(zip(*rows, strict=True))[1:])]]


def _table(rows: list[list[Any]]) -> str:
    header, *body = [[_cell(cell) for cell in row] for row in rows]
    lines = [header, ["---"] * len(header), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|")


def as_text(examination: Examination) -> str:
    """One examination, for a terminal."""
    head = f"{examination.library} {examination.family} ({examination.name})"
    lines = [f"{head}: {examination.verdict}, {examination.seconds} s"]
    for title, build in (("rates up", examination.raised), ("rate 0", examination.zero)):
        lines.append(
            f"  {title}: {build.sites}, {build.opened} opened, {build.verdicts}, "
            f"{'given back' if build.given_back else 'NOT given back'}"
        )
    lines += [f"  {each.what}: {each.where}: {each.why}" for each in examination.findings]
    return "\n".join(lines)
