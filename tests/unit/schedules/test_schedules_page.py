"""docs/schedules.md says what the code does: its examples run, its command's curves parse."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

from droptime.schedules import __all__ as names
from droptime.schedules import parse
from droptime.types import Clock

HELPERS = {"CurveLike", "as_curve", "cutoffs", "is_relative"}
PAGE = Path(__file__).parents[3] / "docs" / "schedules.md"


def test_the_examples_run() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert result.attempted >= 5
    assert result.failed == 0


def test_the_curves_of_the_command_resolve() -> None:
    command = PAGE.read_text(encoding="utf-8").split("```console")[1].split("```")[0]
    curves = re.findall(r'"([^"]+)"', command)
    assert len(curves) >= 8
    for text in curves:
        parse(text).resolve(Clock(epochs=300, steps_per_epoch=312))


def test_every_curve_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in names if name not in HELPERS and f"`{name}" not in page] == []
