"""What the README and the docs show works: blocks run, commands exist, links lead somewhere."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.synthetic_study import write_study

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _blocks(page: Path, *languages: str) -> list[str]:
    return [body for language, body in BLOCK.findall(page.read_text()) if language in languages]


def _ids(page: Path) -> str:
    return page.name


def _training_script() -> dict[str, Any]:
    """The names a reader of the README has: a model, data and an optimizer of their own."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.0), nn.Linear(8, 2))
    loader = [(torch.randn(8, 4), torch.randint(0, 2, (8,))) for _ in range(5)]
    return {
        "torch": torch,
        "model": model,
        "loader": loader,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "loss_fn": nn.CrossEntropyLoss(),
    }


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(tmp_path / "runs" / "digits")  # where the reader's own study would lie
    monkeypatch.chdir(tmp_path)
    names = _training_script()
    for body in _blocks(page, "python"):
        if ">>>" in body:
            test = doctest.DocTestParser().get_doctest(body, names, page.name, str(page), 0)
            runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
            runner.run(test, clear_globs=False)
            assert runner.failures == 0, f"{page.name}:\n{body}"
            names = test.globs
        else:
            exec(compile(body, str(page), "exec"), names)


def _commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for body in _blocks(page, "console", "sh", "bash"):
            for line in body.replace("\\\n", " ").splitlines():
                command = line.removeprefix("$ ").split("#")[0].strip()
                found += [(page.name, command)] if command else []
    return found


@pytest.mark.parametrize(("page", "command"), _commands())
def test_shell_commands_exist(page: str, command: str) -> None:
    program, *arguments = shlex.split(command)
    if "=" in program:
        program, *arguments = arguments
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {a for a in arguments if "=" not in a} <= set(targets), command
    elif program == "droptime":
        help_text = _help(arguments[0])
        for flag in (a.split("=")[0] for a in arguments[1:] if a.startswith("--")):
            assert flag in help_text, f"{command}: no {flag}"
    elif program == "python":
        assert (ROOT / arguments[0]).exists(), command
    else:
        assert program in {"pip", "git", "cd", "torchrun"}, f"{page}: who provides {program!r}?"


@cache
def _help(subcommand: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from droptime.cli import main; main()", subcommand, "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"
