"""Whole studies: arms x seeds, trained on this machine, resumable, watched. No torch.

A recipe says what to compare, a grid lays out the runs, a plan keeps one folder to one study,
a launcher trains the runs in worker processes, and progress is read back from their records.
"""

from __future__ import annotations

from droptime.study.arms import PAPER_ARMS, make_arms
from droptime.study.display import displayed
from droptime.study.grid import Grid, Job
from droptime.study.launch import Failure, Watcher, launch
from droptime.study.lock import locked
from droptime.study.plan import settle
from droptime.study.progress import RunProgress, StudyProgress, look_at_run, look_at_study
from droptime.study.recipe import PRESETS, StudyRecipe, digits, preset

__all__ = [
    "PAPER_ARMS",
    "PRESETS",
    "Failure",
    "Grid",
    "Job",
    "RunProgress",
    "StudyProgress",
    "StudyRecipe",
    "Watcher",
    "digits",
    "displayed",
    "launch",
    "locked",
    "look_at_run",
    "look_at_study",
    "make_arms",
    "preset",
    "settle",
]
