"""Live progress of a study: bars on a terminal, a sober line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from droptime.errors import MissingExtraError
from droptime.study.grid import Job
from droptime.study.launch import Failure, Watcher
from droptime.study.progress import Pace, RunProgress, StudyProgress, look_at_study

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_REDRAW = 0.5  # seconds between two looks, on a terminal
_LINE = 20.0  # seconds between two lines at least, in a log, and only when there is news


@contextmanager
def displayed(jobs: Sequence[Job], console: Console | None = None) -> Iterator[Watcher]:
    """Show the study while it trains; give the yielded watcher to ``launch``.

    Raises:
        MissingExtraError: rich is not installed.
    """
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError as error:
        raise MissingExtraError("rich", "cli", "Progress in the terminal") from error
    console = console or Console()
    pace, said = Pace(), ""

    def now(running: Sequence[Job]) -> tuple[StudyProgress, float | None]:
        progress = look_at_study(jobs, running)
        return progress, pace.left(progress.done, now=time.monotonic())

    def log(running: Sequence[Job], failures: Sequence[Failure]) -> None:
        nonlocal said
        line = one_line(*now(running), failed=len(failures))
        if (news := line.partition(", about")[0]) != said:
            said = news
            console.print(line, highlight=False)

    if not console.is_terminal:
        yield _every(_LINE, log)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def draw(running: Sequence[Job], failures: Sequence[Failure]) -> None:
            live.update(_picture(*now(running), failed=len(failures)), refresh=True)

        yield _every(_REDRAW, draw)


def one_line(progress: StudyProgress, left: float | None, *, failed: int = 0) -> str:
    """Say in one line how far a study is.

    >>> one_line(StudyProgress(finished=3, planned=20, done=0.2, running=()), 125.0, failed=1)
    ' 20%  3 of 20 runs finished, 1 failed, about 2:05 left'
    """
    failures = f", {failed} failed" if failed else ""
    return (
        f"{progress.done:4.0%}  {progress.finished} of {progress.planned} runs finished"
        f"{failures}{_about(left)}"
    )


def _picture(progress: StudyProgress, left: float | None, *, failed: int) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    def bar(done: float, width: int) -> ProgressBar:
        return ProgressBar(total=1.0, completed=done, width=width, complete_style="cyan")

    runs = Table.grid(padding=(0, 2))
    for run in progress.running:
        runs.add_row(f"  {run.name}", bar(run.done, 20), f"{run.done:4.0%}", *_latest(run))
    overall = Table.grid()
    overall.add_row(one_line(progress, left, failed=failed))
    overall.add_row(bar(progress.done, 60))
    return Group(overall, runs)


def _latest(run: RunProgress) -> tuple[str, str]:
    if run.loss is None:
        return "starting", ""
    rates = ", ".join(f"{kind.replace('_', ' ')} {rate:.3f}" for kind, rate in run.rates.items())
    return f"loss {run.loss:.3f}", rates


def _about(left: float | None) -> str:
    if left is None:
        return ""
    minutes, seconds = divmod(round(left), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f", about {clock} left"


def _every(seconds: float, show: Callable[[Sequence[Job], Sequence[Failure]], None]) -> Watcher:
    """Let ``show`` through at most once in so many seconds."""
    last = float("-inf")

    def watch(running: Sequence[Job], failures: Sequence[Failure]) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            show(running, failures)

    return watch
