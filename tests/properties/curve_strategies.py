"""Hypothesis strategies for clocks, durations and curves of every kind, nested ones included."""

from __future__ import annotations

from hypothesis import strategies as st

from droptime.schedules import (
    curriculum,
    early,
    exponential,
    join,
    late,
    piecewise,
    relative,
    standard,
)
from droptime.types import Clock, Curve, Duration

rates = st.floats(0.0, 1.0, exclude_max=True)
positive_rates = st.floats(0.0, 1.0, exclude_min=True, exclude_max=True)


@st.composite
def durations(draw: st.DrawFn) -> Duration:
    """A duration of any unit, longer than nothing, with up to three decimals."""
    unit = draw(st.sampled_from(["%", "%", "ep", "st"]))
    if unit == "st":
        return Duration.parse(f"{draw(st.integers(1, 60))}st")
    longest = 100_000 if unit == "%" else 10_000
    return Duration.parse(f"{draw(st.integers(1, longest)) / 1000}{unit}")


@st.composite
def clocks(draw: st.DrawFn) -> Clock:
    """A clock that knows the end of the run, and epochs or not."""
    if draw(st.booleans()):
        return Clock(epochs=draw(st.integers(1, 120)), steps_per_epoch=draw(st.integers(1, 50)))
    return Clock(total_steps=draw(st.integers(1, 600)))


@st.composite
def knots(draw: st.DrawFn, least: int = 2) -> list[str]:
    """Moments of one unit in order, the first at 0 or later."""
    unit = draw(st.sampled_from(["%", "%", "ep", "st"]))
    longest = 100 if unit == "%" else 20
    amounts = draw(st.lists(st.integers(0, longest), min_size=least, max_size=6, unique=True))
    return [f"{amount}{unit}" for amount in sorted(amounts)]


@st.composite
def piecewises(draw: st.DrawFn) -> Curve:
    """Straight lines through two to six knots."""
    return piecewise([(at, draw(rates)) for at in draw(knots())])


@st.composite
def joins(draw: st.DrawFn, pieces: st.SearchStrategy[Curve]) -> Curve:
    """Two to six pieces, one after another."""
    starts = draw(knots())
    starts[0] = "0ep"
    return join([(at, draw(pieces)) for at in starts])


simple_curves: st.SearchStrategy[Curve] = st.one_of(
    st.builds(standard, rates),
    st.builds(
        early, rates, until=durations(), shape=st.sampled_from(["linear", "constant", "cosine"])
    ),
    st.builds(late, rates, since=durations(), shape=st.sampled_from(["constant", "linear"])),
    st.builds(curriculum, rates, tau=durations()),
    st.builds(exponential, positive_rates, positive_rates, until=durations()),
    piecewises(),
)
absolute_curves: st.SearchStrategy[Curve] = st.recursive(simple_curves, joins, max_leaves=6)
curves: st.SearchStrategy[Curve] = absolute_curves | st.builds(relative, absolute_curves)
