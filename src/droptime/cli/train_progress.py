"""How a run looks in the terminal while it goes: a bar, a line per evaluation, the end."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from droptime.records import DynamicsRow, EvalRow, StepRow, Summary
from droptime.training import Event, Saved, Started


class TrainProgress:
    """Prints the events of one run; a context manager that owns the live bar.

    Args:
        console: where to print.
        again: the command that goes on with the run, shown when it is stopped.
    """

    def __init__(self, console: Console, *, again: str) -> None:
        self._console, self._again = console, again
        self._progress = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,  # else it leaves empty lines in a file or a pipe
        )
        self._bar = self._progress.add_task("preparing", total=None)
        self._began = False

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def hear(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Started():
                self._start(event)
            case StepRow():
                self._progress.update(self._bar, completed=event.step + 1, description=_now(event))
                for step in event.skipped:
                    self._console.print(f"step {step:,}: not finite, skipped")
            case EvalRow():
                self._console.print(_measured(event), soft_wrap=True)
            case DynamicsRow():
                self._console.print(_gradients(event), soft_wrap=True)
            case Saved():
                self._progress.stop()
                self._console.print(
                    f"Stopped after {event.step:,} steps and saved. To go on, run it again:\n"
                    f"  {escape(self._again)}",
                    soft_wrap=True,
                )

    def finished(self, summary: Summary, path: Path) -> None:
        """Show how the run ended."""
        self._progress.stop()
        final, when = summary.final, f"in {summary.seconds:.0f} s"
        if not self._began:
            when = f"before ({when})"
        self._console.print(
            f"Finished {when}: training loss [b]{final.train_loss:.4f}[/] (dropout off), test "
            f"accuracy [b]{final.test_accuracy:.2%}[/]. Weights and records: {escape(str(path))}",
            soft_wrap=True,
        )

    def _start(self, event: Started) -> None:
        self._began = True
        where = event.device if event.processes == 1 else f"{event.processes} processes"
        self._console.print(
            f"{event.train_images:,} training and {event.test_images:,} test images in "
            f"{event.classes} classes; {event.parameters:,} parameters on {where}; "
            f"{event.total_steps:,} steps, {event.steps_per_epoch:,} an epoch.",
            soft_wrap=True,
        )
        if event.first_step:
            self._console.print(f"Going on after {event.first_step:,} steps.")
        self._progress.update(
            self._bar, total=event.total_steps, completed=event.first_step, description=""
        )


def _now(row: StepRow) -> str:
    rates = "".join(f"  {name} {rate:.3f}" for name, rate in row.rates.items())
    return f"loss {row.loss:.3f}  lr {row.lr:.2e}{rates}"


def _gradients(row: DynamicsRow) -> str:
    names = {"gradient_norm": "norm", "variance": "GDV", "error": "GDE", "distance": "distance"}
    found = ", ".join(
        f"{words} {row.values[name].value:.4g}"
        for name, words in names.items()
        if name in row.values
    )
    return f"step {row.step:,}: gradients: {found}"


def _measured(row: EvalRow) -> str:
    weights = "" if row.weights == "raw" else f" {row.weights}"
    return (
        f"epoch {row.epoch:g}{weights}: train loss {row.train_loss:.4f}, "
        f"{row.train_accuracy:.2%} right; test loss {row.test_loss:.4f}, "
        f"{row.test_accuracy:.2%} right"
    )
