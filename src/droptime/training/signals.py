"""Ctrl-C and SIGTERM wait for a moment at which a run can be saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_ASKED_BY = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Raised by :meth:`Interruption.check`: stop here, save, and let the signal go on."""


class Interruption:
    """Notes the first Ctrl-C or SIGTERM while a run is between two safe moments.

    On leaving the block the signal goes on to whoever handled it before. A second signal acts at
    once, as it would have without this. A signal that the process ignores stays ignored, and
    outside the main thread, where Python lets nobody handle signals, nothing is noted.

    Args:
        agree: returns the largest number that any of the processes gives, so that all stop at the
            same moment, whichever of them was asked.
    """

    def __init__(self, agree: Callable[[int], int] = lambda number: number) -> None:
        self._agree = agree
        self._asked = 0
        self._before: dict[int, Any] = {}

    def check(self) -> None:
        """Raise :class:`Interrupted` if a signal has come."""
        self._asked = self._agree(self._asked)
        if self._asked:
            raise Interrupted

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._note)
                for number in _ASKED_BY
                if signal.getsignal(number) is not signal.SIG_IGN
            }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_back()
        if self._asked:
            signal.raise_signal(self._asked)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._give_back()
        self._asked = number

    def _give_back(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)
