"""What the processes that do not write have in place of a run's writer."""

from __future__ import annotations

from contextlib import AbstractContextManager

from droptime.records import Row, Summary


class SilentWriter(AbstractContextManager["SilentWriter"]):
    """Takes rows and keeps none: the first process records what all of them measured together."""

    digest = ""

    def append(self, row: Row) -> None:
        """Keep nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def finish(self, summary: Summary) -> None:
        """Write nothing."""

    def __exit__(self, *_: object) -> None:
        """Let nothing go."""
