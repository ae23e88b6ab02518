"""A process that does one thing after another, each within a time limit."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")


class LostError(Exception):
    """The process did not answer: it took too long, or it died."""


class Worker:
    """A process of its own, started anew after one that was lost.

    Libraries are imported once, not once for each task.
    """

    def __init__(self) -> None:
        self._start()

    def ask(self, function: Callable[[Task], Answer], task: Task, *, limit: float) -> Answer:
        """Return ``function(task)``, computed in the process.

        Raises:
            LostError: there was no answer within ``limit`` seconds, or the process died.
        """
        self._line.send((function, task))
        try:
            if self._line.poll(limit):
                answer: Answer = self._line.recv()
                return answer
            why = f"no answer within {limit:g} seconds"
        except EOFError:
            why = "the process died"
        self.stop()
        self._start()
        raise LostError(why)

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()


def _serve(line: Connection[Any, Any]) -> None:
    import torch

    torch.set_num_threads(1)
    while True:
        function, task = line.recv()
        line.send(function(task))
