"""Write a study's report into its folder: page, Markdown, CSV and figures."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from droptime.records import Study, read_study, write_atomic
from droptime.regime import Observation, Verdict, judge, observe
from droptime.report.dynamics_figures import draw_dynamics_figures
from droptime.report.figures import draw_figures
from droptime.report.page import gradient_values, page_values, render_page
from droptime.report.results import results_csv
from droptime.report.table import StudyTable, study_table


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        study: the records it was made from.
        table: what each arm reached.
        verdicts: what the paper's criterion says.
        observations: the paper's observations on gradients, judged; none where none was measured.
        page: ``report.html``, self-contained.
        files: every file written, the page first.
    """

    study: Study
    table: StudyTable
    verdicts: tuple[Verdict, ...]
    observations: tuple[Observation, ...]
    page: Path
    files: tuple[Path, ...]


def build(path: str | os.PathLike[str]) -> Report:
    """Write ``report.html``, ``report.md``, ``results.csv`` and ``figures/*.svg``.

    A study that has not finished gets a report that says how many runs are missing. The same
    records give the same bytes.

    Raises:
        RecordError: not a study, malformed records, or the disk refuses.
        MissingExtraError: SciPy, matplotlib or Jinja2 is not installed.
    """
    study = read_study(path)
    table, verdicts, observations = study_table(study), judge(study), observe(study)
    figures = draw_figures(study, table, study.path / "figures")
    gradients = draw_dynamics_figures(study, study.path / "figures")
    values = page_values(study, table, verdicts=verdicts, figures=figures)
    values |= gradient_values(observations, gradients)
    texts = {
        "report.html": render_page(values, "html"),
        "report.md": render_page(values, "md"),
        "results.csv": results_csv(study),
    }
    for name, text in texts.items():
        write_atomic(study.path / name, text)
    files = (
        *(study.path / name for name in texts),
        *(figure.path for figure in (*figures, *gradients)),
    )
    return Report(study, table, verdicts, observations, study.path / "report.html", files)
