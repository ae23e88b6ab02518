"""``docs/zoo.md``: the results as a page, and one examination as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from droptime.records.files import write_atomic
from tests.zoo import texts
from tests.zoo.examine import AT_ZERO, Examination
from tests.zoo.reasons import REASONS
from tests.zoo.wings import LIBRARIES

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
    "fails": "breaks the model",
    "unproven": "not proved",
    "random": "random at rate 0",
    "not opened": "not opened",
    "not given back": "not given back",
    "failed": "not examined",
}


def write(results: dict[str, Any]) -> None:
    """Write the page."""
    write_atomic(PATH, render(results))


def render(results: dict[str, Any]) -> str:
    """The page, from what ``zoo.json`` holds."""
    results = {name: results[name] for name in LIBRARIES if name in results}
    versions = {f"{name} {content['version']}" for name, content in results.items()}
    versions |= {f"torch {content['torch']}" for content in results.values()}
    introduction = texts.INTRODUCTION.format(
        models=f"{sum(content['models'] for content in results.values()):,}",
        families=sum(len(content["families"]) for content in results.values()),
        conditions=", ".join(sorted(versions)),
    )
    parts = [introduction, "## In numbers\n", _totals(results), _share(results), _rates(results)]
    parts += ["## Not proved\n", _not_proved(results), texts.IGNORED, _ignored(results)]
    parts += [texts.AT_RATE_0, _at_zero(results), texts.EVERY]
    parts += [_families(name, content["families"]) for name, content in results.items()]
    parts += ["## Not built\n", _unbuilt(results)]
    return "\n".join(part for part in parts if part)


def _totals(results: dict[str, Any]) -> str:
    verdicts = {
        "no rate": "no rate",
        "proved": "every rate acts",
        "some ignored": "all act but those the model ignores",
        "not proved": "not proved",
    }
    rows = []
    for name, content in results.items():
        found = [row["verdict"] for row in content["families"]]
        without = len(content["families without a specimen"])
        rows.append([name, len(found) + without, *map(found.count, verdicts), without])
    header = ["library", "families", *verdicts.values(), "not built"]
    return _table([header, *_summed(rows)])


def _share(results: dict[str, Any]) -> str:
    """The families with a rate of which nothing is left to prove, in words."""
    found = [row["verdict"] for content in results.values() for row in content["families"]]
    proved = found.count("proved") + found.count("some ignored")
    rated = len(found) - found.count("no rate")
    return (
        f"Of {rated} families that were built and have a rate, {proved} ({proved / rated:.1%}) are "
        "proved: every rate acts,\nor is shown to be one that the model itself never uses.\n"
    )


def _rates(results: dict[str, Any]) -> str:
    header = ["rates in the specimens", "found", "opened", "act", "hidden", "ignored", "not proved"]
    rows = []
    for name, content in results.items():
        for build, title in (("raised", "built with rates"), ("zero", "built at 0")):
            builds = [row[build] for row in content["families"]]
            found, opened, records = (
                sum(each[key] for each in builds) for key in ("driveable", "opened", "records")
            )
            acts, hidden, dead = (_verdicts(builds, each) for each in ("acts", "hidden", "dead"))
            seen = [acts, hidden, dead - records]
            rows.append([f"{name}, {title}", found, opened, *seen, found - sum(seen)])
    note = "\n*Hidden*: it drops and its result is used, then something multiplies it by zero.\n"
    return _table([header, *rows]) + note


def _verdicts(builds: Iterable[dict[str, Any]], verdict: str) -> int:
    return sum(build["verdicts"].get(verdict, 0) for build in builds)


def _not_proved(results: dict[str, Any]) -> str:
    rows = [
        [family, _like(places), _WHAT[what], why]
        for family, what, why, places in _findings(results)
        if what in _WHAT
    ]
    return _table([["family", "where", "what", "why"], *rows]) if rows else "Nothing.\n"


def _ignored(results: dict[str, Any]) -> str:
    rows = [
        [family, _like(places), why]
        for family, what, why, places in _findings(results)
        if what == "dead"
    ]
    return _table([["family", "rate", "why"], *rows])


def _findings(results: dict[str, Any]) -> Iterator[tuple[str, str, str, list[str]]]:
    """Family, what, why and where, one for all places that share the rest."""
    for name, content in results.items():
        for row in content["families"]:
            groups: dict[tuple[str, str], list[str]] = {}
            for what, where, why in row["findings"]:
                why = REASONS.get((name, row["family"], what), why)
                places = groups.setdefault((what, why), [])
                places += [] if where in places else [where]
            for (what, why), places in groups.items():
                yield f"{name} {row['family']}", what, why, places


def _like(places: list[str]) -> str:
    return f"`{places[0]}`" + (f" and {len(places) - 1} like it" if len(places) > 1 else "")


def _unbuilt(results: dict[str, Any]) -> str:
    rows = [
        [f"{name} {family}", why]
        for name, content in results.items()
        for part in ("families without a specimen", "models not built")
        for family, why in content[part].items()
    ]
    return _table([["model", "why"], *rows]) if rows else "Nothing.\n"


def _at_zero(results: dict[str, Any]) -> str:
    families: dict[tuple[str, str], list[str]] = {}
    for family, what, _, places in _findings(results):
        for place in places if what in AT_ZERO else ():
            module = place.rsplit(".", 1)[0].rsplit(".", 1)[-1]
            named = families.setdefault((what, module), [])
            named += [] if family in named else [family]
    rows = [
        [f"`{module}`", _STATES[what], ", ".join(each)] for (what, module), each in families.items()
    ]
    return _table([["named", "at rate 0", "families"], *rows])


_STATES = {
    "sealed": "a placeholder that lacks settings of its own; driving it is an error",
    "absent": "nothing that tells of a rate",
}


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
    if row["verdict"] in ("proved", "no rate"):
        return str(row["verdict"])
    verdicts, driveable = row["raised"]["verdicts"], row["raised"]["driveable"]
    acts = verdicts.get("acts", 0) + verdicts.get("hidden", 0)
    return f"{acts} of {driveable} act" if driveable else "not proved"


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
