"""Prove every family of a library: ``python -m tests.zoo --library timm``."""

from __future__ import annotations

import argparse
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.zoo import page, results, wings
from tests.zoo.census import Counted
from tests.zoo.examine import Examination, examine, failed
from tests.zoo.notes import ROOT, Notes
from tests.zoo.specimen import Specimen
from tests.zoo.worker import LostError, Worker

LIMIT = 900.0
"""Seconds that one specimen may take."""


def main() -> None:
    """Count, examine, and write ``docs/results/zoo.json`` and ``docs/zoo.md``."""
    options = _options()
    for library in options.library or wings.LIBRARIES:
        notes = Notes(options.out / f"{library}.jsonl", library, keep=options.keep)
        with Zoo(notes, options.processes) as zoo:
            census = zoo.census(library)
            examined = zoo.examinations(wings.specimens(library, census), only=options.only)
        if not options.only:
            found = results.read() | {library: results.library_results(library, census, examined)}
            results.write(found)
            page.write(found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.zoo", description=__doc__)
    parser.add_argument(
        "--library", action="append", choices=wings.LIBRARIES, help="default: all of them"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="FAMILY", help="print, write no page"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "zoo", help="what was seen")
    parser.add_argument("--keep", action="store_true", help="use what older code of ours saw too")
    parser.add_argument("--processes", type=int, choices=(1, 2), default=1)
    return parser.parse_args()


class Zoo:
    """Workers that fill the notes."""

    def __init__(self, notes: Notes, processes: int) -> None:
        self.notes = notes
        self.idle: queue.Queue[Worker] = queue.Queue()
        self.workers = [Worker() for _ in range(processes)]
        for worker in self.workers:
            self.idle.put(worker)

    def __enter__(self) -> Zoo:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers:
            worker.stop()

    def census(self, library: str) -> list[Counted]:
        """Count the sites of every model of a library."""
        names = {f"count {':'.join(name)}": name for name in wings.names(library)}
        rows = self._all(names, f"{library}: count", lambda name: self._ask_count(name).as_row())
        return [Counted(**row) for row in rows]

    def examinations(self, specimens: list[Specimen], *, only: Sequence[str]) -> list[Examination]:
        """Examine the specimens, or some of them."""
        wanted = {f"examine {s}": s for s in specimens if not only or s.family in only}
        title = f"{specimens[0].library}: prove" if specimens else "nothing to prove"
        rows = self._all(wanted, title, lambda specimen: self._ask_examine(specimen).as_row())
        examined = [Examination.from_row(row) for row in rows]
        for each in examined if only else ():
            print(page.as_text(each))  # noqa: T201
        return examined

    def _all(
        self, tasks: dict[str, Any], title: str, do: Callable[[Any], dict[str, Any]]
    ) -> list[dict[str, Any]]:
        """The rows of all tasks, those done before and those done now."""
        missing = [key for key in tasks if key not in self.notes.rows]
        columns = (
            TextColumn("{task.description:<20}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[now]}"),
        )
        with Progress(*columns) as progress, ThreadPoolExecutor(len(self.workers)) as pool:
            bar = progress.add_task(title, total=len(tasks), now="")
            progress.advance(bar, len(tasks) - len(missing))
            for key, row in pool.map(partial(self._keyed, tasks, do), missing):
                self.notes.add(key, row)
                progress.update(bar, advance=1, now=key.split(" ", 1)[1])
        return [self.notes.rows[key] for key in tasks]

    def _keyed(
        self, tasks: dict[str, Any], do: Callable[[Any], dict[str, Any]], key: str
    ) -> tuple[str, dict[str, Any]]:
        return key, do(tasks[key])

    def _ask(self, function: Callable[[Any], Any], task: Any) -> Any:
        worker = self.idle.get()
        try:
            return worker.ask(function, task, limit=LIMIT)
        finally:
            self.idle.put(worker)

    def _ask_count(self, name: tuple[str, str, str]) -> Counted:
        try:
            counted: Counted = self._ask(wings.count_one, name)
        except LostError as lost:
            return Counted(*name, error=str(lost))
        return counted

    def _ask_examine(self, specimen: Specimen) -> Examination:
        try:
            examination: Examination = self._ask(examine, specimen)
        except LostError as lost:
            return failed(specimen, str(lost))
        return examination


if __name__ == "__main__":
    main()
