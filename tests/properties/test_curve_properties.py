"""What holds for every curve: bounds, the text that reads back, joins, and errors that point."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise

import pytest
from hypothesis import assume, event, example, given
from hypothesis import strategies as st

from droptime.errors import ClockError, CurveArgumentError, CurveError, CurveSyntaxError
from droptime.schedules import (
    curriculum,
    cutoffs,
    early,
    exponential,
    from_function,
    join,
    late,
    parse,
    piecewise,
    standard,
)
from droptime.types import Clock, Curve, Schedule
from tests.properties.curve_strategies import clocks, curves, positive_rates, rates

PIECES = [
    "relative",
    "early",
    "late",
    "standard",
    "join",
    "piecewise",
    "curriculum",
    "from_function",
    "(",
    ")",
]
PIECES += [",", "=", ":", " ", "0.1", "1.5", "nan", "50ep", "50", "20%", "until", "shape", "linear"]
texts = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
not_rates = st.one_of(
    st.floats(max_value=0.0, exclude_max=True),
    st.floats(min_value=1.0),
    st.just(float("nan")),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
    st.integers(min_value=1),
    st.integers(max_value=-1),
)


def resolved(curve: Curve, clock: Clock) -> Schedule | None:
    """The schedule, or None when the run is too short for the curve, by an error of ours."""
    try:
        return curve.resolve(clock)
    except (ClockError, CurveError) as error:
        event(type(error).__name__)
        return None


def parsed(text: str) -> Curve | CurveSyntaxError:
    """The curve, or the one kind of error that is allowed."""
    try:
        return parse(text)
    except CurveSyntaxError as error:
        return error


@given(curves, clocks())
def test_every_rate_is_in_bounds_during_and_after_the_run(curve: Curve, clock: Clock) -> None:
    schedule = resolved(curve, clock)
    if schedule is None:
        return
    assert clock.total_steps is not None
    for step in [*range(clock.total_steps + 3), 10**6, 10**12]:
        rate = schedule(step)
        assert type(rate) is float
        assert 0.0 <= rate < 1.0


@given(curves, clocks())
def test_past_the_end_the_rate_stays(curve: Curve, clock: Clock) -> None:
    schedule = resolved(curve, clock)
    if schedule is None:
        return
    assert clock.total_steps is not None
    last = schedule(clock.total_steps)
    assert [schedule(clock.total_steps + i) for i in (1, 2, 50)] == [last] * 3


@given(curves)
def test_text_reads_back_as_the_same_curve(curve: Curve) -> None:
    again = parse(str(curve))
    assert again == curve
    assert hash(again) == hash(curve)
    assert str(again) == str(curve)


@given(curves)
def test_copies_and_pickles_are_equal(curve: Curve) -> None:
    assert copy.deepcopy(curve) == curve
    assert pickle.loads(pickle.dumps(curve)) == curve


@given(curves, st.sampled_from([" ", "  ", "\t", "\n"]))
def test_spaces_mean_nothing(curve: Curve, space: str) -> None:
    text = str(curve)
    for mark in "(),=:":
        text = text.replace(mark, f"{space}{mark}{space}")
    assert parse(text) == curve


@given(texts)
@example("early(0.1, until=50ep")
@example("join(" * 50)
@example("standard(1e999)")
@example("early(0.1, until=" + "9" * 5000 + "ep)")
def test_any_text_is_a_curve_or_an_error_that_points_into_it(text: str) -> None:
    outcome = parsed(text)
    if isinstance(outcome, Curve):
        assert parse(str(outcome)) == outcome
    else:
        assert 0 <= outcome.start < outcome.end <= len(text) + 1
        if not text.strip():  # nothing to point at
            assert str(outcome).endswith("the text is empty")
            return
        problem, shown, marker = str(outcome).rsplit("\n", 2)
        assert "\n" not in problem
        assert shown == "  " + outcome.text
        assert marker == "  " + " " * outcome.start + "^" * (outcome.end - outcome.start)


@given(not_rates)
def test_what_is_no_rate_is_refused_and_named(value: float) -> None:
    with pytest.raises(CurveArgumentError, match=r"^p: "):
        standard(value)
    with pytest.raises(CurveArgumentError, match=r"^p: "):
        early(value, until="5ep")
    with pytest.raises(CurveArgumentError, match=r"^p: "):
        late(value, since="5ep")
    with pytest.raises(CurveArgumentError, match=r"^p: "):
        curriculum(value, tau="5ep")
    with pytest.raises(CurveArgumentError, match=r"^end: "):
        exponential(0.1, value, until="5ep")
    with pytest.raises(CurveArgumentError, match=r"^rate 2: "):
        piecewise({"0%": 0.1, "5%": value})


@given(not_rates)
def test_what_a_function_returns_is_checked(value: float) -> None:
    schedule = from_function(lambda step: value, name="bad").resolve(Clock())
    with pytest.raises(CurveError, match=r"^from_function\(bad\) at step 7: "):
        schedule(7)


@given(st.one_of(st.integers(), st.floats()))
def test_a_bare_number_has_no_unit(number: float) -> None:
    with pytest.raises(CurveArgumentError, match=r"^until: .* has no unit"):
        early(0.1, until=number)  # type: ignore[arg-type]
    with pytest.raises(CurveArgumentError, match=r"^knot 2: .* has no unit"):
        piecewise([("0%", 0.1), (number, 0.1)])  # type: ignore[type-var]


@given(rates, clocks(), st.integers(1, 10**6))
def test_a_cutoff_beyond_the_end_is_an_error(p: float, clock: Clock, over: int) -> None:
    assert clock.total_steps is not None
    beyond = f"{clock.total_steps + over}st"
    for curve in (early(p, until=beyond), late(p, since=beyond), piecewise({"0%": p, beyond: p})):
        with pytest.raises(ClockError, match="past the end"):
            curve.resolve(clock)


@given(st.lists(st.integers(0, 100), min_size=2, max_size=5), st.sampled_from(["ep", "st", "%"]))
def test_knots_are_taken_in_order_or_not_at_all(amounts: list[int], unit: str) -> None:
    pairs = [(f"{amount}{unit}", 0.1) for amount in amounts]
    if all(a < b for a, b in pairwise(amounts)):
        assert parse(str(piecewise(pairs))) == piecewise(pairs)
    else:
        with pytest.raises(CurveArgumentError, match=r"^knot [2-5]: .*does not come after"):
            piecewise(pairs)


@given(rates, rates, st.integers(1, 99), clocks())
def test_a_join_is_its_pieces_side_by_side(p: float, q: float, percent: int, clock: Clock) -> None:
    start = clock.steps(f"{percent}%")
    assert clock.total_steps is not None
    assume(0 < start < clock.total_steps)
    first, second = early(p, until="100%"), late(q, since="0%", shape="linear")
    schedule = join({"0ep": first, f"{percent}%": second}).resolve(clock)
    ahead = first.resolve(Clock(total_steps=start))
    behind = second.resolve(Clock(total_steps=clock.total_steps - start))
    for step in range(clock.total_steps):
        assert schedule(step) == (ahead(step) if step < start else behind(step - start))


@given(positive_rates, positive_rates, clocks())
def test_an_exponential_never_leaves_its_two_rates(p: float, q: float, clock: Clock) -> None:
    schedule = exponential(p, q, until="100%").resolve(clock)
    assert clock.total_steps is not None
    values = [schedule(step) for step in range(clock.total_steps)]
    assert values == sorted(values, reverse=q < p)
    assert {values[0], schedule(clock.total_steps)} == {p, q}


@given(curves, clocks())
def test_cutoffs_are_ordered_steps_of_the_run(curve: Curve, clock: Clock) -> None:
    if resolved(curve, clock) is None:
        return
    steps = cutoffs(curve, clock)
    assert clock.total_steps is not None
    assert list(steps) == sorted(set(steps))
    assert all(0 <= step <= clock.total_steps for step in steps)
