"""What one setting may be: small rules that say what they expected."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from droptime.errors import ConfigError, CurveError
from droptime.schedules import parse
from droptime.types import Duration


class Rule(Protocol):
    """Accepts a value or says what was expected of it."""

    def problem(self, value: object) -> str | None:
        """Return what was expected, or None if the value will do."""


@dataclass(frozen=True)
class Whole:
    """A whole number, at least ``least``."""

    least: int = 0

    def problem(self, value: object) -> str | None:
        """Return what was expected, or None if the value will do."""
        good = isinstance(value, int) and not isinstance(value, bool) and value >= self.least
        return None if good else f"expected a whole number, at least {self.least}"


@dataclass(frozen=True)
class Number:
    """A finite number from ``low`` to ``high``; an open end is left out."""

    low: float = 0.0
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def problem(self, value: object) -> str | None:
        """Return what was expected, or None if the value will do."""
        if isinstance(value, (int, float)) and not isinstance(value, bool) and self._holds(value):
            return None
        if math.isinf(self.high):
            return f"expected a number {'above' if self.open_low else 'of at least'} {self.low:g}"
        ends = f"{'(' if self.open_low else '['}{self.low:g}, {self.high:g}"
        return f"expected a number in {ends}{')' if self.open_high else ']'}"

    def _holds(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return math.isfinite(value) and above and below


@dataclass(frozen=True)
class OneOf:
    """One of a few words."""

    words: tuple[str, ...]

    def problem(self, value: object) -> str | None:
        """Return what was expected, or None if the value will do."""
        return None if value in self.words else f"expected one of {', '.join(self.words)}"


@dataclass(frozen=True)
class Names:
    """One or more of a few words, with commas."""

    words: tuple[str, ...]

    def problem(self, value: object) -> str | None:
        """Return what was expected, or None if the value will do."""
        given = value.split(",") if isinstance(value, str) else [""]
        good = set(given) <= set(self.words) and len(set(given)) == len(given)
        return None if good else f"expected some of {', '.join(self.words)}, with commas"


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def problem(self, value: object) -> str | None:
        """Return what was expected, or None if the value will do."""
        return None if isinstance(value, bool) else "expected true or false"


@dataclass(frozen=True)
class Text:
    """Some text, not empty."""

    def problem(self, value: object) -> str | None:
        """Return what was expected, or None if the value will do."""
        return None if isinstance(value, str) and value.strip() else "expected some text"


@dataclass(frozen=True)
class Length:
    """A duration such as ``"5%"``, ``"10ep"`` or ``"200st"``."""

    def problem(self, value: object) -> str | None:
        """Return what was expected, or None if the value will do."""
        try:
            Duration.parse(value)  # type: ignore[arg-type]
        except CurveError as error:
            return str(error)
        return None


@dataclass(frozen=True)
class CurveText:
    """A curve as text, such as ``"early(0.1, until=20%)"``."""

    def problem(self, value: object) -> str | None:
        """Return what was expected, or None if the value will do."""
        if not isinstance(value, str):
            return 'expected a curve as text, such as "early(0.1, until=20%)"'
        try:
            parse(value)
        except CurveError as error:
            return str(error)
        return None


@dataclass(frozen=True)
class RandAugmentText:
    """RandAugment as timm spells it: magnitude, its noise, layers, odds and set."""

    def problem(self, value: object) -> str | None:
        """Return what was expected, or None if the value will do."""
        one = r"(m\d+|mstd\d+(\.\d+)?|n\d+|p(0\.\d+|1)|inc[01])"
        good = isinstance(value, str) and re.fullmatch(rf"rand(-{one})*", value)
        return None if good else 'expected RandAugment in timm\'s spelling: "rand-m9-mstd0.5-inc1"'


@dataclass(frozen=True)
class Arguments:
    """Keyword arguments as JSON."""

    def problem(self, value: object) -> str | None:
        """Return what was expected, or None if the value will do."""
        good = isinstance(value, Mapping) and all(isinstance(name, str) for name in value)
        return None if good and _is_json(value) else "expected argument names and JSON values"


@dataclass(frozen=True)
class Maybe:
    """None, or what the inner rule accepts."""

    rule: Rule

    def problem(self, value: object) -> str | None:
        """Return what was expected, or None if the value will do."""
        problem = None if value is None else self.rule.problem(value)
        return _after_first_line(problem, ", or none") if problem else None


def check(values: Mapping[str, object], rules: Mapping[str, Rule]) -> None:
    """Hold every value against the rule of its name.

    Raises:
        ConfigError: the first value that breaks its rule, and what was expected.

    >>> check({"epochs": 0}, {"epochs": Whole(1)})
    Traceback (most recent call last):
    droptime.errors.ConfigError: epochs=0: expected a whole number, at least 1.
    """
    for name, value in values.items():
        problem = rules[name].problem(value)
        if problem:
            raise ConfigError(f"{name}={value!r}: {_after_first_line(problem, '.')}")


def _after_first_line(problem: str, end: str) -> str:
    """End the sentence, which is the first line; below it a curve's error points at the place."""
    sentence, newline, pointer = problem.partition("\n")
    return f"{sentence.rstrip('.')}{end}{newline}{pointer}"


def _is_json(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_json(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (str, int, bool))
