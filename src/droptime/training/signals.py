"""Ctrl-C, SIGTERM and SIGUSR1 wait for a moment at which a run can be saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

TRY_AGAIN = 75
"""The exit code EX_TEMPFAIL of ``sysexits.h``: not done yet, start it again."""

_PREEMPTIONS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)
]  # Windows has no SIGUSR1


class Interrupted(BaseException):
    """Raised by :meth:`Interruption.check`: stop here, save, and let the signal go on."""


class Preempted(SystemExit):
    """SIGTERM or SIGUSR1 came and the run was saved; the process ends with code 75 (try again).

    Not an ``Exception``: a process that was asked to end shall not go on by accident.
    """

    def __init__(self) -> None:
        super().__init__(TRY_AGAIN)


class Interruption:
    """Notes the first Ctrl-C, SIGTERM or SIGUSR1 while a run is between two safe moments.

    On leaving the block the signal goes on to whoever handled it before; SIGTERM and SIGUSR1 that
    nobody handled become :class:`Preempted`. A second signal acts at once, as it would have
    without this. A signal that the process ignores stays ignored, and outside the main thread,
    where Python lets nobody handle signals, nothing is noted.

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

    def stop(self) -> BaseException:
        """Return what ends a run whose signal was handled and did not end the process."""
        return Preempted() if self._asked in _PREEMPTIONS else KeyboardInterrupt()

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._note)
                for number in (signal.SIGINT, *_PREEMPTIONS)
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
        if not self._asked or isinstance(error, Exception):
            return  # an error says more than the signal
        unhandled = signal.getsignal(self._asked) is signal.SIG_DFL
        if self._asked in _PREEMPTIONS and unhandled and error is None:
            raise Preempted
        signal.raise_signal(self._asked)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._give_back()
        self._asked = number

    def _give_back(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)
