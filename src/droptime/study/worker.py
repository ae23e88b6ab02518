"""One long-lived process that trains the runs it is handed, one after the other."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeAlias

from droptime.errors import ConfigError
from droptime.records import JSON

EntryPoint: TypeAlias = Callable[[Mapping[str, JSON], str], object]
Order: TypeAlias = tuple[Mapping[str, JSON], str, str]
"""A run's config, its directory, and the file its output goes to."""


def serve(connection: Connection, entry: str) -> None:
    """Train every run received, answering ``None`` or one line on what failed, until told ``None``.

    The process leaves its parent's group, so that Ctrl-C reaches the parent alone, and ends with
    its parent, however that ends, so that a run never has two writers.
    """
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while (order := connection.recv()) is not None:
        connection.send(_attempt(entry, order))


def load_entry(text: str) -> EntryPoint:
    """Import ``module:function``.

    Raises:
        ConfigError: the text has another form.
        ImportError: there is no such module.
        AttributeError: the module has no such function.

    >>> load_entry("math:hypot")(3, 4)
    5.0
    """
    check_entry(text)
    module, _, function = text.partition(":")
    loaded: EntryPoint = getattr(import_module(module), function)
    return loaded


def check_entry(text: str) -> None:
    """Raise ConfigError unless ``text`` has the form ``module:function``; import nothing."""
    module, colon, function = text.partition(":")
    if not (module and colon and function):
        raise ConfigError(f"Entry point {text!r}: expected the form 'module:function'.")


def _attempt(entry: str, order: Order) -> str | None:
    config, out, log = order
    with _output_to(Path(log)):
        try:
            load_entry(entry)(config, out)
        except Exception as error:  # the run's error is the answer; the other runs go on
            traceback.print_exc()
            return f"{type(error).__name__}: {error}"
    return None


@contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Send what the run prints, from Python or below, to the end of its own log file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _end_with_parent() -> None:
    parent: Any = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
