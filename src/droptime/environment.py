"""The curves from the variable DROPTIME, so that any script becomes an arm of a study."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from torch import nn

from droptime.errors import (
    ClockError,
    CurveArgumentError,
    CurveError,
    CurveSyntaxError,
    SiteError,
)
from droptime.scheduler import CurveLike, DropScheduler
from droptime.schedules import is_relative, parse
from droptime.sites import assign, find_sites
from droptime.types import Clock, Curve

VARIABLE = "DROPTIME"
_ARGUMENTS = ("dropout", "drop_path")
_EXAMPLE = "dropout=early(0.1, until=20%); drop_path=standard(0.2)"


def from_env(model: nn.Module, *, clock: Clock | None = None) -> DropScheduler:
    """Drive a model along the curves of the environment variable ``DROPTIME``.

    The variable holds one or more ``name=curve``, separated by ``;``. A name is ``dropout``,
    ``drop_path`` or a selector of ``rates=``: a kind or a pattern of paths::

        DROPTIME="dropout=early(0.1, until=20%)"
        DROPTIME="drop_path=late(0.2, since=50ep); attention=standard(0.1); blocks.0.*=standard(0)"
        DROPTIME="drop_path=relative(late(0.2, since=50ep)); blocks.0-5.*:attention=standard(0.1)"

    Unset or empty, nothing is driven and the model stays as it is: the same script is the arm
    without a schedule. The scheduler returned then counts steps, saves and loads its state, and
    has no rates; it refuses the state of a run that was driven.

    Args:
        model: see :class:`~droptime.scheduler.DropScheduler`.
        clock: see there.

    Raises:
        CurveSyntaxError, CurveError, ClockError, NoSiteError, ClosedSiteError, SiteError: as
            ``DropScheduler`` does; the message points into the variable.

    >>> import os
    >>> os.environ["DROPTIME"] = "dropout=early(0.4, until=20%)"
    >>> drop = from_env(nn.Sequential(nn.Dropout(0.0)), clock=Clock(total_steps=10))
    >>> drop.get_last_rates()
    {'dropout': 0.4}
    >>> del os.environ["DROPTIME"]
    >>> from_env(nn.Sequential(nn.Dropout(0.0)), clock=Clock(total_steps=10)).get_last_rates()
    {}
    """
    text = re.sub(r"\s", " ", os.environ.get(VARIABLE, ""))
    if not text.strip():
        return _Undriven(model, clock)
    pieces = list(_pieces(text))
    curves = {piece.name: piece.curve() for piece in pieces}
    sites, clock = find_sites(model), clock or Clock()
    for piece in pieces:
        argument = piece.name in _ARGUMENTS
        try:
            curves[piece.name].resolve(clock)
            assign(
                sites,
                [piece.name] if argument else [],
                [] if argument else [piece.name],
                relative=[piece.name] if is_relative(curves[piece.name]) else [],
            )
        except (ClockError, CurveError, SiteError) as error:
            piece.point(error)
    rates: dict[str, CurveLike] = {n: c for n, c in curves.items() if n not in _ARGUMENTS}
    dropout, drop_path = (curves.get(name) for name in _ARGUMENTS)
    return DropScheduler(model, dropout=dropout, drop_path=drop_path, rates=rates, clock=clock)


def drive(
    model: nn.Module,
    *,
    dropout: CurveLike | None,
    drop_path: CurveLike | None,
    rates: Mapping[str, CurveLike] | None,
    clock: Clock,
) -> DropScheduler:
    """Drive a model along the curves given, or if there are none along those of ``DROPTIME``."""
    if dropout is None and drop_path is None and not rates:
        return from_env(model, clock=clock)
    return DropScheduler(model, dropout=dropout, drop_path=drop_path, rates=rates, clock=clock)


@dataclass(frozen=True)
class _Piece:
    """One ``name=curve`` of the variable: ``text[start:end]`` is the curve's text."""

    text: str
    name: str
    name_start: int
    start: int
    end: int

    def curve(self) -> Curve:
        """Read the curve."""
        try:
            return parse(self.text[self.start : self.end])
        except CurveSyntaxError as error:
            _refuse(error.problem, self.text, self.start + error.start, self.start + error.end)

    def point(self, error: Exception) -> NoReturn:
        """Raise the error again with a pointer: to the name if no site fits, else to the curve."""
        at_name = isinstance(error, SiteError)
        start = self.name_start if at_name else self.start
        end = self.name_start + len(self.name) if at_name else self.end
        message = f"{VARIABLE}: {error}\n  {self.text}\n  {' ' * start}{'^' * (end - start)}"
        kind = CurveError if isinstance(error, CurveArgumentError) else type(error)
        raise kind(message) from None


def _pieces(text: str) -> Iterator[_Piece]:
    """Cut the variable into its pieces, each with the place it stood."""
    seen: set[str] = set()
    for match in re.finditer(r"[^;]+", text):
        whole = match[0].strip()
        if not whole:
            continue
        at = text.index(whole, match.start())
        name, equals, curve = whole.partition("=")
        if not equals or "(" in name:
            problem = f"expected name=curve, as in {_EXAMPLE!r}"
            _refuse(problem, text, at, at + len(whole))
        start = at + len(name) + 1 + len(curve) - len(curve.lstrip())
        name = name.strip()
        if not name or not curve.strip():
            what = "name before '='" if not name else "curve after '='"
            _refuse(f"expected a {what}, as in {_EXAMPLE!r}", text, at, at + len(whole))
        if name in seen:
            _refuse(f"{name} is given twice", text, at, at + len(name))
        seen.add(name)
        yield _Piece(text, name, at, start, at + len(whole))


def _refuse(problem: str, text: str, start: int, end: int) -> NoReturn:
    raise CurveSyntaxError(f"{VARIABLE}: {problem}", text, start, end) from None


class _Undriven(DropScheduler):
    """The scheduler of a run without a schedule: it counts steps, and changes nothing."""

    def __init__(self, model: nn.Module, clock: Clock | None) -> None:
        self.clock = clock or Clock()
        self.last_step = 0
        self.curves = {}
        self.plan = assign(find_sites(model), [])
        self._voices, self._holding, self._stepped, self._closed = {}, [], [], False

    def close(self) -> None:
        """Refuse further steps; there is nothing to give back."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed
