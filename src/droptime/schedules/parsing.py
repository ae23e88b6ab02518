"""From a curve's text to the curve: each call is bound to the function of its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from types import MappingProxyType

from droptime.errors import CurveArgumentError, CurveError, CurveSyntaxError
from droptime.schedules.checks import unknown
from droptime.schedules.exponentials import curriculum, exponential
from droptime.schedules.joining import join
from droptime.schedules.knots import piecewise
from droptime.schedules.phases import early, late, standard
from droptime.schedules.scaling import relative
from droptime.schedules.syntax import Argument, Call, Word, read
from droptime.types import Curve

EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "standard": "standard(0.1)",
        "early": "early(0.1, until=50ep, shape=linear)",
        "late": "late(0.4, since=50ep, shape=constant)",
        "piecewise": "piecewise(0%: 0.0, 20%: 0.0, 50%: 0.3, 100%: 0.0)",
        "join": "join(0ep: early(0.1, until=100%, shape=linear), 50ep: standard(0.4))",
        "curriculum": "curriculum(0.5, tau=10%)",
        "exponential": "exponential(0.4, 0.01, until=50ep)",
        "relative": "relative(early(0.1, until=20%, shape=linear))",
    }
)
"""Every curve that has a text form, with one such text."""

_CALLED: Mapping[str, Callable[..., Curve]] = MappingProxyType(
    {
        "standard": standard,
        "early": early,
        "late": late,
        "curriculum": curriculum,
        "exponential": exponential,
        "relative": relative,
    }
)
_PAIRED: Mapping[str, tuple[Callable[..., Curve], str, str]] = MappingProxyType(
    {"piecewise": (piecewise, "knot", "rate"), "join": (join, "start", "curve")}
)


def parse(text: str) -> Curve:
    """Read a curve from its text; ``parse(str(curve)) == curve``.

    >>> parse("early(0.1, until=50ep)")
    early(0.1, until=50ep, shape=linear)
    >>> try:
    ...     parse("early(1.1, until=50ep)")
    ... except CurveSyntaxError as error:
    ...     print(error)
    p: 1.1 is not a drop rate: give a number in [0, 1) (the probability of dropping).
      early(1.1, until=50ep)
            ^^^

    Raises:
        CurveSyntaxError: the text cannot be read or an argument makes no sense; ``start`` and
            ``end`` say where the offending piece stands.
        CurveError: ``text`` is not a string.
    """
    if not isinstance(text, str):
        raise CurveError(
            f"parse reads a curve's text, such as {EXAMPLES['early']!r}, not {text!r}."
        )
    line = re.sub(r"\s", " ", text)
    return _Builder(line).curve(read(line))


class _Builder:
    """Makes curves of calls, and turns every error into one that points into the text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def curve(self, call: Call) -> Curve:
        """Make the curve a call describes."""
        name = call.name.text
        if name in _CALLED:
            return self._called(call)
        if name in _PAIRED:
            return self._paired(call)
        if name == "from_function":
            raise self._error(
                "a function written in Python has no text to read back: build the curve in "
                "Python, or write it as piecewise(...)",
                call.name,
            )
        raise self._error(f"the curve {unknown(name, EXAMPLES)}", call.name)

    def _called(self, call: Call) -> Curve:
        function = _CALLED[call.name.text]
        parameters = signature(function).parameters
        given: dict[str, Word | Call] = {}
        for place, argument in enumerate(call.arguments):
            key = self._key(call, place, parameters)
            if key in given:
                raise self._error(f"{key} is given twice", argument)
            given[key] = argument.value
        for key, parameter in parameters.items():
            if parameter.default is parameter.empty and key not in given:
                raise self._error(f"{call.name.text} needs {key}{_example(call)}", call)
        values = {key: self._value(node) for key, node in given.items()}
        return self._made(call, given, lambda: function(**values))

    def _paired(self, call: Call) -> Curve:
        function, first, second = _PAIRED[call.name.text]
        given: dict[str, Word | Call] = {}
        pairs: list[tuple[object, object]] = []
        for number, argument in enumerate(call.arguments, start=1):
            if argument.key is None or argument.mark != ":":
                raise self._error(
                    f"{call.name.text} takes pairs, '{first}: {second}'{_example(call)}", argument
                )
            given[f"{first} {number}"], given[f"{second} {number}"] = argument.key, argument.value
            pairs.append((argument.key.value, self._value(argument.value)))
        return self._made(call, given, lambda: function(pairs))

    def _key(self, call: Call, place: int, parameters: Mapping[str, Parameter]) -> str:
        name, argument = call.name.text, call.arguments[place]
        if argument.mark == ":":
            raise self._error(
                f"{name} takes arguments, not '... : ...' pairs{_example(call)}", argument
            )
        if argument.key is not None:
            key = argument.key.text
            if key not in parameters:
                raise self._error(f"the argument {unknown(key, parameters)}", argument.key)
            return key
        free = [key for key, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
        if place >= len(free) or any(before.key for before in call.arguments[:place]):
            only = " and ".join(free)
            raise self._error(
                f"{name}: only {only} may stand without a name, in front{_example(call)}", argument
            )
        return free[place]

    def _value(self, node: Word | Call) -> object:
        return node.value if isinstance(node, Word) else self.curve(node)

    def _made(
        self, call: Call, given: Mapping[str, Word | Call], make: Callable[[], Curve]
    ) -> Curve:
        try:
            return make()
        except CurveArgumentError as error:
            raise self._error(str(error), given.get(error.argument, call)) from None
        except CurveError as error:
            raise self._error(str(error), call) from None

    def _error(self, problem: str, node: Word | Argument | Call) -> CurveSyntaxError:
        return CurveSyntaxError(problem, self._text, node.start, node.end)


def _example(call: Call) -> str:
    return f": write for example {EXAMPLES[call.name.text]}"
