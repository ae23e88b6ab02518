"""``docs/results/zoo.json``: what the zoo showed, one row for each family."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from droptime.records.files import write_atomic
from tests.zoo import wings
from tests.zoo.census import Counted
from tests.zoo.examine import DRIVEABLE, Examination, Examined

PATH = Path(__file__).parents[2] / "docs" / "results" / "zoo.json"
LIVE = (*DRIVEABLE, "sealed", "unknown")


def library_results(
    library: str, census: Sequence[Counted], examined: Iterable[Examination]
) -> dict[str, Any]:
    """Everything about one library."""
    models = Counter(one.family for one in census)
    rows = [family_row(each, models[each.family]) for each in examined]
    return {
        "version": wings.version(library),
        "torch": wings.version("torch"),
        "python": platform.python_version(),
        "models": len(census),
        "models with a rate": sum(bool(live_sites(one.sites)) for one in census),
        "models not built": {one.name: one.error for one in census if one.error},
        "families without a specimen": wings.unbuilt(library),
        "families": sorted(rows, key=lambda row: str(row["family"])),
    }


def family_row(examination: Examination, models: int) -> dict[str, Any]:
    """One family: its specimen, the rates found in it and what became of them."""
    return {
        "family": examination.family,
        "member": examination.name,
        "models": models,
        "verdict": examination.verdict,
        "raised": _build_row(examination.raised),
        "zero": _build_row(examination.zero),
        "findings": [[each.what, each.where, each.why] for each in examination.findings],
    }


def _build_row(build: Examined) -> dict[str, Any]:
    return {
        "parameters": build.parameters,
        "sites": live_sites(build.sites),
        "driveable": sum(n.get(s, 0) for n in build.sites.values() for s in DRIVEABLE),
        "records": sum(states.get("dead", 0) for states in build.sites.values()),
        "opened": build.opened,
        "verdicts": build.verdicts,
        "given back": build.given_back,
    }


def live_sites(sites: dict[str, dict[str, int]]) -> dict[str, int]:
    """Sites of each kind without the records of how a model was built."""
    counts = {kind: sum(states.get(s, 0) for s in LIVE) for kind, states in sites.items()}
    return {kind: count for kind, count in sorted(counts.items()) if count}


def read() -> dict[str, Any]:
    """The results so far, by library."""
    results: dict[str, Any] = json.loads(PATH.read_text()) if PATH.exists() else {}
    return results


def write(results: dict[str, Any]) -> None:
    """Write all results, one line for each family."""
    parts = []
    for library in sorted(results):
        content = dict(results[library])
        families = ",\n".join(f"   {json.dumps(row)}" for row in content.pop("families"))
        head = "".join(f"  {json.dumps(key)}: {json.dumps(content[key])},\n" for key in content)
        parts.append(f' {json.dumps(library)}: {{\n{head}  "families": [\n{families}\n  ]\n }}')
    PATH.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(PATH, "{\n" + ",\n".join(parts) + "\n}\n")
