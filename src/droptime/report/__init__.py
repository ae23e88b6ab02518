"""A study's records as a page, a table, figures and a few sentences; no torch needed.

Reports compute nothing: numbers come from the records, intervals from ``droptime.stats``,
verdicts from ``droptime.regime``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from droptime.report.builder import Report, build
    from droptime.report.observations import render_observations
    from droptime.report.table import StudyTable, study_table
    from droptime.report.terminal import render_table

__all__ = ["Report", "StudyTable", "build", "render_observations", "render_table", "study_table"]

_HOMES = {
    "Report": "builder",
    "build": "builder",
    "StudyTable": "table",
    "study_table": "table",
    "render_table": "terminal",
    "render_observations": "observations",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Import a name when it is first asked for, so that a figure alone loads no more."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
