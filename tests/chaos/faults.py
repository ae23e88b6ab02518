"""What goes wrong inside a process while it writes a checkpoint."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

Moment = Literal["torn", "written", "renamed", "removing", "full"]
MOMENTS: tuple[Moment, ...] = ("torn", "written", "renamed", "removing")


@dataclass(frozen=True)
class Fault:
    """One thing that happens at one file of a checkpoint.

    Attributes:
        moment: SIGKILL with half of the file on the disk (``torn``), with all of it under its
            temporary name (``written``), with its name and the next file not begun (``renamed``),
            with an old checkpoint half removed (``removing``); or the disk is ``full``.
        file: which of the files written, counted from 0 (a checkpoint has two), or removed.
    """

    moment: Moment
    file: int

    def arm(self) -> None:
        """Let it happen in this process."""
        from droptime import records
        from droptime.training.saving import checkpoint

        if self.moment == "removing":
            _after(Path, "unlink", _die, skip=self.file)
            return
        write, count = records.write_atomic, iter(range(10**6))

        def counted(path: Path, content: bytes | str) -> None:
            if next(count) == self.file:
                self._break()
            write(path, content)

        _replace(checkpoint, "write_atomic", counted)

    def _break(self) -> None:
        match self.moment:
            case "torn":
                _replace(os, "fsync", _halve_and_die)
            case "written":
                _replace(os, "replace", lambda *_: _die())
            case "renamed":
                _after(os, "replace", _die)
            case "full":
                _replace(os, "fsync", _refuse)


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL returned")


def _halve_and_die(descriptor: int) -> NoReturn:
    os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
    _die()


def _refuse(descriptor: int) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _replace(owner: Any, name: str, act: Callable[..., object]) -> None:
    setattr(owner, name, act)


def _after(owner: Any, name: str, act: Callable[[], object], *, skip: int = 0) -> None:
    original, count = getattr(owner, name), iter(range(10**6))

    def followed(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        if next(count) == skip:
            act()

    _replace(owner, name, followed)
