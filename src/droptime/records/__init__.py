"""What a run leaves behind: typed rows, written safely and read back years later.

The narrow waist of the house: the wing that trains writes records, the wing that judges
reads them, and neither needs the other. Standard library only, no torch.

A run directory holds ``config.json``, ``rows.jsonl`` (one JSON object a line, appended) and,
once the run has finished, ``summary.json``. A study directory holds ``study.json`` and one
run directory per arm and seed under ``runs/``.
"""

from __future__ import annotations

from droptime.records.changes import Change
from droptime.records.dynamics import DynamicsRow, Estimate
from droptime.records.files import JSON, disk, write_atomic
from droptime.records.reader import Run, read_run, read_settings
from droptime.records.rows import EvalRow, Row, StepRow, Summary
from droptime.records.study import Study, StudyManifest, read_study, run_path, write_manifest
from droptime.records.writer import RunWriter

__all__ = [
    "JSON",
    "Change",
    "DynamicsRow",
    "Estimate",
    "EvalRow",
    "Row",
    "Run",
    "RunWriter",
    "StepRow",
    "Study",
    "StudyManifest",
    "Summary",
    "disk",
    "read_run",
    "read_settings",
    "read_study",
    "run_path",
    "write_atomic",
    "write_manifest",
]
