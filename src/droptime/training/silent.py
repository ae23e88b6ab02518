"""What the processes that do not write have in place of a run's writer."""

from __future__ import annotations

from types import TracebackType

from droptime.records import Row, Summary


class SilentWriter:
    """Takes rows and keeps none: the first process records what all of them measured together."""

    def append(self, row: Row) -> None:
        """Keep nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def finish(self, summary: Summary) -> None:
        """Write nothing."""

    def __enter__(self) -> SilentWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass
