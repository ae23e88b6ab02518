"""The command line: parse, call one function, print. Nobody imports this package."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from droptime.errors import DroptimeError, MissingExtraError

COMMANDS: dict[str, str] = {
    "curve": "droptime.cli.curve:curve",
    "report": "droptime.cli.report:report",
    "study": "droptime.cli.study:study",
    "train": "droptime.cli.train:train_command",
}
"""Command name -> ``module:function``; a command's module imports heavy libraries when called."""


def main() -> None:
    """Entry point of the ``droptime`` script."""
    try:
        _run()
    except DroptimeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _run() -> None:
    try:
        import tyro
    except ImportError as error:
        raise MissingExtraError("tyro", "cli", "The command line") from error
    commands = {name: _load(target) for name, target in COMMANDS.items()}
    tyro.extras.subcommand_cli_from_dict(commands, description="Dropout at the right time.")


def _load(target: str) -> Callable[..., Any]:
    module, function = target.split(":")
    loaded: Callable[..., Any] = getattr(import_module(module), function)
    return loaded
