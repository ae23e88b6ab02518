"""Fields of a JSON object, each of its type: taken one by one, made plain when written."""

from __future__ import annotations

import math
import operator
from typing import Any, SupportsIndex, TypeVar

from droptime.errors import RecordError

T = TypeVar("T")

_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class Fields:
    """Takes an object's fields one by one, each of its type; what is left over is an error."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._left = dict(data)

    def has(self, name: str) -> bool:
        """Whether a field that not every record has is there to take."""
        return name in self._left

    def take(self, name: str) -> object:
        """Take a field of any type."""
        if name not in self._left:
            raise RecordError(f"the field {name!r} is missing.")
        return self._left.pop(name)

    def whole(self, name: str) -> int:
        """Take a whole number, at least 0."""
        value = self.take(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise RecordError(f"{name!r} is {value!r}: expected a whole number, at least 0.")
        return value

    def wholes(self, name: str) -> tuple[int, ...]:
        """Take a list of whole numbers."""
        value = self.take(name)
        if not isinstance(value, list) or not all(type(item) is int for item in value):
            raise RecordError(f"{name!r} is {value!r}: expected a list of whole numbers.")
        return tuple(value)

    def number(self, name: str) -> float:
        """Take a number, which may be one of the strings for what is not finite."""
        return number_of(name, self.take(name))

    def text(self, name: str) -> str:
        """Take a text."""
        return text_of(name, self.take(name))

    def flag(self, name: str) -> bool:
        """Take true or false."""
        value = self.take(name)
        if not isinstance(value, bool):
            raise RecordError(f"{name!r} is {value!r}: expected true or false.")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """Take a JSON object."""
        value = self.take(name)
        if not isinstance(value, dict):
            raise RecordError(f"{name!r} is {value!r}: expected a JSON object.")
        return value

    def done(self, made: T) -> T:
        """Return what was made of the fields, having made sure that none is left over."""
        if self._left:
            raise RecordError(f"unknown field(s) {', '.join(map(repr, sorted(self._left)))}.")
        return made


def number_of(name: str, value: object) -> float:
    """Read a number, which may be one of the strings for what is not finite."""
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(f"{name!r} is {value!r}: expected a number.")
    return float(value)


def text_of(name: str, value: object) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise RecordError(f"{name!r} is {value!r}: expected text.")
    return value


def plain(name: str, value: float) -> float | str:
    """Turn any real scalar (NumPy's and torch's too) into what strict JSON can hold."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise RecordError(f"{name!r} is {value!r}: expected a number.") from error
    return number if math.isfinite(number) else str(number)


def whole(name: str, value: SupportsIndex) -> int:
    """Turn any whole number, at least 0, into a plain one."""
    try:
        number = operator.index(value)
    except TypeError as error:
        raise RecordError(f"{name!r} is {value!r}: expected a whole number.") from error
    if number < 0:
        raise RecordError(f"{name!r} is {number}: expected a whole number, at least 0.")
    return number
