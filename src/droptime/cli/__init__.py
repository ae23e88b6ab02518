"""The command line: parse, call one function, print. Nobody imports this package."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

from droptime import __version__
from droptime.errors import ConfigError, DroptimeError, MissingExtraError

COMMANDS = {
    "curve": ("droptime.cli.curve:curve", "print and draw drop-rate curves"),
    "plan": ("droptime.cli.plan:plan", "show a model's dropout and what would drive it"),
    "train": ("droptime.cli.train:train_command", "train one model, its dropout along a curve"),
    "eval": ("droptime.cli.evaluate:eval_command", "measure the weights of a run"),
    "finetune": (
        "droptime.cli.finetune:finetune_command",
        "train a trained model on other data",
    ),
    "data": ("droptime.cli.data:data_command", "say what is wrong with a data set"),
    "study": ("droptime.cli.study:study", "train every arm with every seed, and compare them"),
    "dynamics": ("droptime.cli.dynamics:dynamics", "measure what dropout does to gradients"),
    "report": ("droptime.cli.report:report", "make a study's report again from its records"),
}
"""Command -> (``module:function``, what it does). Only the command called is imported."""


def main() -> None:
    """Entry point of the ``droptime`` script."""
    try:
        _run(sys.argv[1:])
    except DroptimeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(arguments: Sequence[str]) -> None:
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        print(_overview())
    elif name == "--version":
        print(f"droptime {__version__}")
    elif name in COMMANDS:
        _call(name, arguments[1:])
    else:
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(COMMANDS)}."
        raise ConfigError(f"there is no command {name!r}. {hint}")


def _call(name: str, arguments: Sequence[str]) -> None:
    try:
        import tyro
    except ImportError as error:
        raise MissingExtraError("tyro", "cli", "The command line") from error
    module, function = COMMANDS[name][0].split(":")
    command = getattr(import_module(module), function)
    tyro.cli(command, prog=f"droptime {name}", args=list(arguments))


def _overview() -> str:
    commands = "\n".join(f"  {name:8} {what}" for name, (_, what) in COMMANDS.items())
    return (
        "usage: droptime COMMAND ...\n\nDropout at the right time.\n\n"
        f"{commands}\n\ndroptime COMMAND --help says what each takes."
    )
