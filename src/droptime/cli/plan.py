"""``droptime plan``: every dropout of a model by name, and what a schedule would drive."""

from __future__ import annotations

import json as json_format
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console

from droptime.cli.naming import named_sites
from droptime.cli.pairs import read_pairs
from droptime.cli.plan_view import render_plan
from droptime.errors import ClosedSiteError, ConfigError, NoSiteError
from droptime.schedules import is_relative, parse
from droptime.sites import Plan, Site, assign

_PLAIN = tyro.conf.arg(help_behavior_hint="")
Pairs = Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE ...", help_behavior_hint="")]
Curve = Annotated[str | None, tyro.conf.arg(metavar="CURVE", help_behavior_hint="")]
Rates = Annotated[
    tuple[str, ...], tyro.conf.arg(metavar="SELECTOR[=CURVE] ...", help_behavior_hint="")
]


def plan(
    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")],
    /,
    *,
    model_args: Pairs = (),
    dropout: Curve = None,
    drop_path: Curve = None,
    rates: Rates = (),
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff, _PLAIN] = False,
) -> None:
    """Show every dropout of a model, what would drive it, and why the rest is left alone.

    Example: droptime plan timm:convnext_femto --rates "stages.0-1.*:element". Without --dropout,
    --drop-path and --rates it shows what the first two would drive. Nothing is downloaded.

    Exit status: 0, all that was asked for can be driven; 1, something would drive nothing or is
    sealed; 2, an error.

    Args:
        model: timm:NAME, torchvision:NAME, hf:FOLDER, hf:MODEL_TYPE or module:PACKAGE.FACTORY.
        model_args: what the model is built with, such as drop_path_rate=0.1.
        dropout: as in a run, such as "early(0.1, until=20%)".
        drop_path: as in a run, such as "relative(late(0.2, since=50%))".
        rates: kinds or paths, such as attention, "blocks.0-5.*" or "head=standard(0.1)".
        json: print the rows as JSON.
    """
    asked = _asked(dropout, drop_path, rates)
    arguments = read_pairs("--model-args", model_args)
    sites, on_cpu = named_sites(model, arguments)
    if on_cpu:
        print(f"note: {on_cpu}", file=sys.stderr)
    if asked:
        found, problems = _check(sites, asked)
    else:
        found, problems = assign(sites, ["dropout", "drop_path"], missing_ok=True), []
    if json:
        print(json_format.dumps(_report(model, found), indent=2))
    else:
        console = Console(highlight=False)
        console.print(render_plan(found, model, width=console.width))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)


@dataclass(frozen=True)
class _Ask:
    """One thing to be driven: by an argument of the scheduler or by a selector."""

    name: str
    argument: bool
    relative: bool


def _asked(dropout: str | None, drop_path: str | None, rates: Sequence[str]) -> list[_Ask]:
    given = {"dropout": dropout, "drop_path": drop_path}
    asked = [
        _Ask(name, argument=True, relative=is_relative(parse(curve)))
        for name, curve in given.items()
        if curve is not None
    ]
    for text in rates:
        selector, equals, curve = (part.strip() for part in text.partition("="))
        if not selector or (equals and not curve):
            raise ConfigError(f"--rates {text!r}: expected SELECTOR or SELECTOR=CURVE.")
        if any(ask.name == selector for ask in asked):
            raise ConfigError(f"{selector} is given twice.")
        relative = is_relative(parse(curve)) if curve else False
        asked.append(_Ask(selector, argument=False, relative=relative))
    return asked


def _check(sites: Sequence[Site], asked: Sequence[_Ask]) -> tuple[Plan, list[str]]:
    """Return the plan of what can be driven, and why the rest cannot, as the scheduler says it."""
    able: list[_Ask] = []
    problems = []
    for ask in sorted(asked, key=lambda ask: ask.argument):  # selectors take their sites first
        try:
            _assign(sites, [*able, ask])
        except (NoSiteError, ClosedSiteError) as error:
            problems.append(str(error))
        else:
            able.append(ask)
    return _assign(sites, able), problems


def _assign(sites: Sequence[Site], asked: Sequence[_Ask]) -> Plan:
    return assign(
        sites,
        [ask.name for ask in asked if ask.argument],
        [ask.name for ask in asked if not ask.argument],
        relative=[ask.name for ask in asked if ask.relative],
    )


def _report(model: str, plan: Plan) -> dict[str, object]:
    """What ``--json`` prints."""
    rows = [
        {
            "path": row.site.path,
            "kind": row.site.kind,
            "attribute": row.site.attribute,
            "rate": row.site.rate,
            "state": row.site.state,
            "driver": row.driver,
            "factor": row.factor,
            "why": row.why,
        }
        for row in plan.rows
    ]
    totals = {
        "sites": len(rows),
        "driven": Counter(row.driver for row in plan.rows if row.driver and row.factor),
        "states": Counter(row.site.state for row in plan.rows),
    }
    return {
        "model": model,
        "rows": rows,
        "profile": plan.profile,
        "relative": dict(plan.relative),
        "totals": totals,
    }
