"""Train jobs on this machine, several at a time, each in a worker process of its own.

A worker lives for the whole study, so libraries are imported once. A run that fails, or takes
its worker down with it, costs the study that run and no other.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TypeAlias

from droptime.cores import SHARE, cores
from droptime.errors import ConfigError
from droptime.study.grid import Job
from droptime.study.worker import check_entry, serve

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_TICK = 0.25  # seconds between two looks at the runs
_GRACE = 15.0  # seconds a worker has to save its run and end before it is killed


@dataclass(frozen=True)
class Failure:
    """A run that did not finish: which, why in one line, and where its whole output is."""

    job: Job
    error: str
    log: Path


Watcher: TypeAlias = Callable[[Sequence[Job], Sequence[Failure]], None]
"""Called several times a second with the jobs being trained and the failures so far."""


def launch(
    jobs: Sequence[Job],
    *,
    entry: str,
    logs: str | Path,
    workers: int | None = None,
    gpus: Sequence[str] = (),
    watch: Watcher = lambda running, failures: None,
) -> tuple[Failure, ...]:
    """Train every job that has not finished and return those that failed, both in order.

    Each worker computes with one thread. On KeyboardInterrupt, or any other exception, all
    workers are told to end (SIGTERM); where their runs saved themselves is where they resume.

    Args:
        jobs: the runs, most wanted first.
        entry: ``module:function``, called with a job's config and directory.
        logs: folder for the output of the runs, ``<job>.log`` each.
        workers: processes at a time; by default one a GPU given, else one a core.
        gpus: names, as CUDA_VISIBLE_DEVICES has them, of GPUs to share out among the workers;
            by default each worker sees what this process sees.
        watch: told of the progress.

    Raises:
        ConfigError: fewer than one worker, or an entry point of another form.
    """
    workers = (len(gpus) or cores()) if workers is None else workers
    if workers < 1:
        raise ConfigError(f"workers={workers}: expected at least 1.")
    check_entry(entry)
    waiting = deque(job for job in jobs if not job.finished)
    failures: list[Failure] = []
    share = {SHARE: str(max(1, cores() // workers))}
    surroundings = [
        {**_ONE_THREAD, **share, **({"CUDA_VISIBLE_DEVICES": gpus[n % len(gpus)]} if gpus else {})}
        for n in range(min(workers, len(waiting)))
    ]
    with _crew(entry, Path(logs), surroundings) as crew:
        for worker in crew:
            worker.begin(waiting.popleft())
        while busy := [worker for worker in crew if worker.job is not None]:
            watch([worker.job for worker in busy if worker.job is not None], failures)
            answered = wait([worker.connection for worker in busy], timeout=_TICK)
            for worker in (worker for worker in busy if worker.connection in answered):
                if failure := worker.answer():
                    failures.append(failure)
                if waiting:
                    worker.begin(waiting.popleft())
    watch([], failures)
    return tuple(sorted(failures, key=lambda failure: jobs.index(failure.job)))


class _Worker:
    """A worker process as its parent sees it; started anew if a run takes it down."""

    job: Job | None
    connection: Connection
    process: SpawnProcess

    def __init__(self, entry: str, logs: Path, variables: Mapping[str, str]) -> None:
        self.entry, self.logs, self.variables, self.job = entry, logs, variables, None
        self._start()

    def begin(self, job: Job) -> None:
        """Hand the worker a job."""
        order = dict(job.config), str(job.path), str(self._log(job))
        try:
            self.connection.send(order)
        except OSError:  # the last job took the process down
            self._start()
            self.connection.send(order)
        self.job = job

    def answer(self) -> Failure | None:
        """Receive the end of the job: None when it is trained."""
        job, self.job = self.job, None
        if job is None:
            return None
        try:
            error: str | None = self.connection.recv()
        except (EOFError, OSError):
            self.process.join(_GRACE)
            error = _death(self.process.exitcode)
        return None if error is None else Failure(job, error, self._log(job))

    def ask_to_end(self) -> None:
        """Send SIGTERM, which training answers by saving its run."""
        self.process.terminate()

    def end(self) -> None:
        """Wait for the process to end, and make it end if it takes too long."""
        self.process.join(_GRACE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()

    def _start(self) -> None:
        spawn = get_context("spawn")
        self.connection, theirs = spawn.Pipe()
        self.process = spawn.Process(target=serve, args=(theirs, self.entry))
        with _environment(self.variables), _deaf_to_ctrl_c():
            self.process.start()
        theirs.close()

    def _log(self, job: Job) -> Path:
        return self.logs / f"{job.name}.log"


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = " (is there enough memory? fewer workers need less)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    return f"its process ended early with exit code {code}"


@contextmanager
def _crew(
    entry: str, logs: Path, surroundings: Sequence[Mapping[str, str]]
) -> Iterator[list[_Worker]]:
    crew: list[_Worker] = []
    try:
        for variables in surroundings:
            crew.append(_Worker(entry, logs, variables))  # noqa: PERF401  (each must be ended if a later fails)
        yield crew
    finally:
        for worker in crew:
            worker.ask_to_end()
        for worker in crew:
            worker.end()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the processes started inside, which read them before importing."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Let processes started inside ignore Ctrl-C: the parent hears it and ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
