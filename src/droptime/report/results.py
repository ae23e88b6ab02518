"""``results.csv``: one line for every finished run, full precision, for any other tool."""

from __future__ import annotations

import csv
from io import StringIO

from droptime.records import Study

COLUMNS = (
    "arm",
    "seed",
    "dropout",
    "drop_path",
    "steps",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "weights",
    "seconds",
)


def results_csv(study: Study) -> str:
    """Return the table of finished runs as CSV text.

    Losses are plain cross-entropy in nats with drop off; accuracies are fractions. A curve that
    an arm does not have is an empty cell.
    """
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for run in study.finished:
        if run.summary is None:  # pragma: no cover - finished means it has one
            continue
        curves, final = study.manifest.arms[run.arm], run.summary.final
        table.writerow(
            (
                run.arm,
                run.seed,
                curves.get("dropout", ""),
                curves.get("drop_path", ""),
                run.summary.steps,
                final.train_loss,
                final.train_accuracy,
                final.test_loss,
                final.test_accuracy,
                final.weights,
                round(run.summary.seconds, 3),
            )
        )
    return text.getvalue()
