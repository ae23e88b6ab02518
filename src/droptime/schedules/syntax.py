"""The grammar of a curve's text: from characters to a tree, knowing nothing of curves.

Grammar::

    call     = name "(" [ argument { "," argument } ] ")"
    argument = value | key "=" value | key ":" value
    value    = word | call

A word is any run of characters other than spaces and ``( ) , = :``. Spaces separate words and
mean nothing else. Every node knows where it stood, so that an error can point at it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from droptime.errors import CurveSyntaxError

DEEPEST = 20
"""Calls nested deeper than this are refused."""

_TOKEN = re.compile(r"[(),=:]|[^\s(),=:]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Word:
    """A word and the place it stood: ``text[start:end]``."""

    text: str
    start: int
    end: int

    @property
    def value(self) -> float | str:
        """The number the word spells, or its text."""
        return float(self.text) if _NUMBER.fullmatch(self.text) else self.text


@dataclass(frozen=True)
class Argument:
    """``value``, ``key=value`` or ``key: value``; ``mark`` is ``""``, ``"="`` or ``":"``."""

    value: Word | Call
    key: Word | None = None
    mark: str = ""

    @property
    def start(self) -> int:
        """Where the argument begins."""
        return self.value.start if self.key is None else self.key.start

    @property
    def end(self) -> int:
        """Where the argument ends."""
        return self.value.end


@dataclass(frozen=True)
class Call:
    """``name(argument, ...)``."""

    name: Word
    arguments: tuple[Argument, ...]
    end: int

    @property
    def start(self) -> int:
        """Where the call begins."""
        return self.name.start


def read(text: str) -> Call:
    """Read a text that is one call.

    >>> call = read("early(0.1, until=50ep)")
    >>> call.name.text, [(a.mark, a.value.value) for a in call.arguments]
    ('early', [('', 0.1), ('=', '50ep')])

    Raises:
        CurveSyntaxError: it is not; the error points at the first piece that does not fit.
    """
    reader = _Reader(text)
    call = reader.call(reader.word("a curve's name"))
    if reader.ahead.text:
        raise reader.error("expected nothing more after the curve")
    return call


class _Reader:
    """One text and the place reached in it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [Word(m[0], m.start(), m.end()) for m in _TOKEN.finditer(text)]
        self._tokens.append(Word("", len(text), len(text)))
        self._at = self._depth = 0

    @property
    def ahead(self) -> Word:
        """The next token, not yet taken; its text is empty at the end."""
        return self._tokens[self._at]

    def error(self, problem: str) -> CurveSyntaxError:
        """Return an error that points at the next token."""
        found = f", found '{self.ahead.text}'" if self.ahead.text else ", found the end of the text"
        return CurveSyntaxError(problem + found, self._text, self.ahead.start, self.ahead.end)

    def word(self, expected: str) -> Word:
        """Take a word."""
        if not self.ahead.text or self.ahead.text in "(),=:":
            raise self.error(f"expected {expected}")
        self._at += 1
        return self._tokens[self._at - 1]

    def mark(self, *marks: str) -> Word:
        """Take one of these marks."""
        if self.ahead.text not in marks:
            expected = "' or '".join(marks)
            raise self.error(f"expected '{expected}'")
        self._at += 1
        return self._tokens[self._at - 1]

    def call(self, name: Word) -> Call:
        """Take ``(argument, ...)`` after the name."""
        if self._depth == DEEPEST:
            raise self.error(f"expected no more than {DEEPEST} curves inside each other")
        self.mark("(")
        self._depth += 1
        arguments = [] if self.ahead.text == ")" else [self.argument()]
        while arguments and self.ahead.text != ")":
            self.mark(",", ")")
            arguments.append(self.argument())
        self._depth -= 1
        return Call(name, tuple(arguments), self.mark(")").end)

    def argument(self) -> Argument:
        """Take ``value``, ``key=value`` or ``key: value``."""
        first = self.word("an argument")
        if self.ahead.text == "(":
            return Argument(self.call(first))
        if self.ahead.text not in ("=", ":"):
            return Argument(first)
        mark, value = self.mark("=", ":"), self.word("a value")
        return Argument(self.call(value) if self.ahead.text == "(" else value, first, mark.text)
