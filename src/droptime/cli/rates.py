"""The values of a curve around its ends, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from droptime.schedules import cutoffs
from droptime.types import Clock, Curve, Step


def rate_table(curve: Curve, clock: Clock) -> Table:
    """Return step, epoch and rate at the ends of the run and around each cutoff."""
    schedule, per_epoch = curve.resolve(clock), clock.steps_per_epoch
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("step", justify="right")
    if per_epoch:
        table.add_column("epoch", justify="right")
    table.add_column("drop rate")
    table.add_column("", style="dim")
    for step, note in _moments(cutoffs(curve, clock), clock.total_steps or 1):
        epoch = [f"{step / per_epoch:.{len(str(per_epoch))}f}"] if per_epoch else []
        table.add_row(f"{step:,}", *epoch, f"{schedule(step):.6g}", note)
    return table


def _moments(edges: Sequence[Step], total: int) -> list[tuple[Step, str]]:
    """Return the steps to print, in order: the ends of the run and both sides of each cutoff."""
    notes = {0: "first step", 1: "", total - 1: "last step"}
    for edge in edges:
        for step in (edge - 2, edge - 1, edge):
            notes.setdefault(step, "")
        notes[edge] = notes[edge] or "cutoff"
    return [(step, notes[step]) for step in sorted(notes) if 0 <= step < total]
