"""The page and its Markdown twin, filled from the same values through two templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from droptime.errors import MissingExtraError
from droptime.records import Study
from droptime.regime import Observation, Verdict
from droptime.report.cells import columns, curve_text, lines
from droptime.report.conditions import conditions, duration_text
from droptime.report.figure_file import FigureFile
from droptime.report.finding import NOT_ADJUSTED, SEEDS_ONLY, finding, judged_before
from droptime.report.observations import COLUMNS, NOTE, observation_lines
from droptime.report.table import StudyTable
from droptime.stats import LEVEL


def page_values(
    study: Study,
    table: StudyTable,
    *,
    verdicts: Sequence[Verdict],
    figures: Sequence[FigureFile],
) -> dict[str, Any]:
    """Return everything that the templates say."""
    found = conditions(study)
    return {
        "name": study.manifest.name,
        "finding": finding(table),
        "missing": [f"{arm}-s{seed}" for arm, seed in study.missing],
        "planned": table.planned,
        "verdicts": verdicts,
        "columns": columns(table),
        "lines": lines(table),
        "diverged": [f"{row.arm}-s{seed}" for row in table.rows for seed in row.diverged],
        "level": f"{LEVEL:.0%}",
        "baseline": table.baseline,
        "not_adjusted": NOT_ADJUSTED,
        "seeds_only": SEEDS_ONLY,
        "judged_before": judged_before(study.manifest),
        "figures": figures,
        "arms": {arm: curve_text(curves) for arm, curves in study.manifest.arms.items()},
        "run_time": duration_text(found.run_seconds),
        **asdict(found),
    }


def gradient_values(
    observations: Sequence[Observation], figures: Sequence[FigureFile]
) -> dict[str, Any]:
    """Return everything that the templates say of gradients; nothing where none was measured."""
    return {
        "observations": observation_lines(observations),
        "observation_columns": COLUMNS,
        "observation_note": NOTE,
        "gradient_figures": figures,
    }


def render_page(values: Mapping[str, Any], kind: str) -> str:
    """Fill the template ``report.<kind>``, ``html`` or ``md``.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
    except ImportError as error:
        raise MissingExtraError("jinja2", "report", "The report page") from error
    environment = Environment(
        loader=PackageLoader("droptime.report"),
        autoescape=select_autoescape(("html.jinja",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(f"report.{kind}.jinja").render(values)
