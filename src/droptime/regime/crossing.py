"""Where a difference changes sign along a run, as far as intervals over seeds can tell.

A side is *settled* by two moments in a row whose intervals both lie on it: one moment alone
would be there by chance once in twenty. A crossing lies between the last moment that is settled on
one side and the first that is settled on the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from droptime.regime.series import Moment


@dataclass(frozen=True)
class Crossing:
    """A change of sign.

    Attributes:
        after: the last step settled on the first side.
        before: the first step settled on the other side.
        at: where the mean over seeds first crosses zero between them, by linear interpolation.
        rises: whether it goes from below zero to above.
    """

    after: int
    before: int
    at: float
    rises: bool


def find_crossings(moments: Sequence[Moment]) -> tuple[Crossing, ...]:
    """Return every crossing of zero along a series; empty if none is seen."""
    settled = [
        (place, m.sign) for place, m in enumerate(moments) if m.sign and _settled(moments, place)
    ]
    return tuple(
        _crossing(moments[left : right + 1])
        for (left, one), (right, other) in pairwise(settled)
        if one != other
    )


def crossing_text(moments: Sequence[Moment]) -> str:
    """Say where a series crosses zero, and between which steps, or that no crossing is seen."""
    found = find_crossings(moments)
    if found:
        return "; then ".join(map(_words, found))
    if max((m.n for m in moments), default=0) < 2:
        return "no crossing seen: one seed has no interval to judge by"
    below, above = (sum(m.sign == sign for m in moments) for sign in (-1, 1))
    return (
        f"no crossing seen: of {len(moments)} intervals {below or 'none'} below zero, "
        f"{above or 'none'} above"
    )


def _words(found: Crossing) -> str:
    way = "from below zero to above" if found.rises else "from above zero to below"
    return (
        f"crosses {way} at about iteration {found.at:,.0f}, "
        f"between {found.after:,} and {found.before:,}"
    )


def _settled(moments: Sequence[Moment], place: int) -> bool:
    neighbours = [*moments[max(place - 1, 0) : place], *moments[place + 1 : place + 2]]
    return any(m.sign == moments[place].sign for m in neighbours)


def _crossing(span: Sequence[Moment]) -> Crossing:
    """The crossing between the first and the last of these moments, which differ in sign."""
    rises = span[-1].mean > 0
    left, right = next((a, b) for a, b in pairwise(span) if (b.mean > 0) == rises)
    share = left.mean / (left.mean - right.mean)
    at = left.step + share * (right.step - left.step)
    return Crossing(span[0].step, span[-1].step, at, rises)
