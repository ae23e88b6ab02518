"""Each curve's edges: equality, cutoffs, what a clock cannot resolve, what makes no sense."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from fractions import Fraction

import numpy as np
import pytest

from droptime.errors import ClockError, CurveArgumentError, CurveError
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
from droptime.types import Clock, Curve, Duration, Schedule

CLOCK = Clock(epochs=10, steps_per_epoch=10)


def test_equal_arguments_make_equal_curves_however_written() -> None:
    assert early(0.1, until="50.0ep") == early(0.1, until=Duration(Fraction(50), "ep"))
    assert standard(0) == standard(0.0) == standard(-0.0)
    assert str(standard(-0.0)) == "standard(0.0)"
    assert early(0.1, until="5ep") != early(0.1, until="5ep", shape="constant")
    assert len({parse("standard(0.1)"), standard(0.1)}) == 1


def test_numpy_rates_are_rates() -> None:
    assert str(standard(np.float64(0.25))) == "standard(0.25)"
    assert standard(np.float32(0.25)) == standard(0.25)  # type: ignore[arg-type]


def test_a_rate_that_rounds_to_one_is_refused() -> None:
    with pytest.raises(CurveArgumentError, match="not a drop rate"):
        standard(1 - Fraction(1, 10**30))  # type: ignore[arg-type]


def test_curves_are_frozen_and_replace_checks_again() -> None:
    curve = early(0.1, until="5ep")
    with pytest.raises(FrozenInstanceError):
        curve.p = 0.2  # type: ignore[misc]
    assert replace(curve, p=0.2) == early(0.2, until="5ep")
    with pytest.raises(CurveArgumentError, match=r"^p: "):
        replace(curve, p=1.2)


def test_a_duration_that_its_text_cannot_hold_is_refused() -> None:
    with pytest.raises(CurveArgumentError, match="at most 12 decimals"):
        early(0.1, until=Duration(Fraction(100, 3), "%"))
    with pytest.raises(CurveArgumentError, match="not a duration"):
        early(0.1, until=Duration(Fraction(1), "weeks"))


@pytest.mark.parametrize("shape", ["linear", "constant", "cosine"])
def test_an_early_phase_of_one_step_is_p(shape: str) -> None:
    schedule = early(0.3, until="1st", shape=shape).resolve(CLOCK)
    assert [schedule(step) for step in range(3)] == [0.3, 0.0, 0.0]


def test_early_may_last_the_whole_run_and_nothing_may_last_no_step() -> None:
    whole = early(0.3, until="100%").resolve(CLOCK)
    assert (whole(0), whole(99), whole(100)) == (0.3, 0.0, 0.0)
    for none in ("0ep", "0st", "0%", "0.0%"):
        with pytest.raises(CurveArgumentError, match="leaves the phase no step"):
            early(0.3, until=none)
    with pytest.raises(CurveError, match="less than one step"):
        early(0.3, until="0.1%").resolve(CLOCK)
    with pytest.raises(CurveError, match="less than one step"):
        curriculum(0.3, tau="0.1%").resolve(CLOCK)


def test_late_may_start_at_once_but_not_at_the_end() -> None:
    assert late(0.3, since="0ep").resolve(CLOCK)(0) == 0.3
    assert late(0.3, since="99st", shape="linear").resolve(CLOCK)(99) == 0.3
    with pytest.raises(CurveError, match="would never drop"):
        late(0.3, since="10ep").resolve(CLOCK)


def test_a_clock_without_an_end_is_enough_unless_the_end_matters() -> None:
    open_ended = Clock(steps_per_epoch=10)
    assert late(0.3, since="2ep").resolve(open_ended)(20) == 0.3
    assert early(0.3, until="2ep").resolve(open_ended)(19) == 0.0
    joined = join({"0ep": standard(0.1), "2ep": standard(0.2)}).resolve(open_ended)
    assert (joined(19), joined(20), joined(10**9)) == (0.1, 0.2, 0.2)
    with pytest.raises(ClockError, match="until the end of the run"):
        late(0.3, since="2ep", shape="linear").resolve(open_ended)
    with pytest.raises(ClockError, match="cannot be resolved"):
        early(0.3, until="20%").resolve(open_ended)
    with pytest.raises(ClockError, match="give the clock steps_per_epoch"):
        early(0.3, until="2ep").resolve(Clock(total_steps=100))


def test_knots_of_two_units_are_told_apart_by_the_clock() -> None:
    curve = piecewise({"0%": 0.1, "5ep": 0.2, "60%": 0.3})
    assert curve.resolve(CLOCK)(55) == pytest.approx(0.25)
    with pytest.raises(CurveError, match=r"knot 3 \(50% = step 50\) does not come after knot 2"):
        piecewise({"0%": 0.1, "5ep": 0.2, "50%": 0.3}).resolve(CLOCK)
    with pytest.raises(CurveError, match=r"knot 2 .* does not come after knot 1"):
        piecewise({"1%": 0.1, "1.1%": 0.2}).resolve(CLOCK)


def test_piecewise_is_flat_outside_its_knots() -> None:
    schedule = piecewise({"20st": 0.1, "40st": 0.3}).resolve(CLOCK)
    assert (schedule(0), schedule(20), schedule(40), schedule(99)) == (0.1, 0.1, 0.3, 0.3)


def test_a_joined_piece_has_its_own_step_and_clock() -> None:
    curve = join({"0ep": early(0.2, until="50%"), "4ep": late(0.4, since="3ep")})
    schedule = curve.resolve(CLOCK)
    assert [schedule(step) for step in (0, 19, 20, 39)] == [0.2, 0.0, 0.0, 0.0]
    assert [schedule(step) for step in (40, 69, 70, 100)] == [0.0, 0.0, 0.4, 0.4]
    assert cutoffs(curve, CLOCK) == (20, 40, 70)


def test_nothing_is_nothing_in_any_unit() -> None:
    joined = join({"0ep": standard(0.1), "50%": standard(0.2)})
    assert joined.resolve(Clock(total_steps=10))(5) == 0.2


def test_errors_inside_a_join_say_which_piece() -> None:
    with pytest.raises(ClockError, match="In piece 2 of a join, which starts at 4ep"):
        join({"0ep": standard(0.1), "4ep": early(0.1, until="7ep")}).resolve(CLOCK)
    with pytest.raises(CurveError, match="would never be in force"):
        join({"0ep": standard(0.1), "100%": standard(0.2)}).resolve(CLOCK)
    with pytest.raises(CurveArgumentError, match=r"^start 1: 1ep leaves the run without a begin"):
        join({"1ep": standard(0.1), "2ep": standard(0.2)})
    with pytest.raises(CurveArgumentError, match=r"^curve 2: 0.2 is not a curve"):
        join([("0ep", standard(0.1)), ("2ep", 0.2)])  # type: ignore[arg-type]


def test_exponential_needs_rates_above_zero() -> None:
    with pytest.raises(CurveArgumentError, match=r"^end: 0.0 is out of an exponential's reach"):
        exponential(0.1, 0.0, until="5ep")
    grown = exponential(5e-324, 0.9, until="100%").resolve(CLOCK)
    assert (grown(0), grown(99), grown(1000)) == (5e-324, 0.9, 0.9)


def ramp(step: int) -> float:
    return step / 1000


def test_a_function_is_named_for_where_it_lives() -> None:
    curve = from_function(ramp)
    assert str(curve) == repr(curve) == f"from_function({__name__}:ramp)"
    assert curve == from_function(ramp)
    assert hash(curve) == hash(from_function(ramp))
    assert curve != from_function(ramp, name="other")
    here = f"{__name__}:test_a_function_is_named_for_where_it_lives"
    assert str(from_function(lambda step: 0.1)) == f"from_function({here}.lambda)"
    with pytest.raises(CurveArgumentError, match="not a usable name"):
        from_function(ramp, name="two words")
    with pytest.raises(CurveArgumentError, match="cannot be called"):
        from_function(0.1, name="constant")  # type: ignore[arg-type]


def test_a_function_is_not_asked_past_the_end() -> None:
    table = [0.1, 0.2, 0.3]
    schedule = from_function(table.__getitem__, name="table").resolve(Clock(total_steps=3))
    assert [schedule(step) for step in range(6)] == [0.1, 0.2, 0.3, 0.3, 0.3, 0.3]


def test_a_function_may_answer_with_any_real_number() -> None:
    schedule = from_function(lambda step: np.float32(0.25), name="numpy").resolve(CLOCK)  # type: ignore[arg-type,return-value]
    assert type(schedule(0)) is float
    assert schedule(0) == 0.25


def test_a_curve_of_ones_own_tells_of_no_cutoffs() -> None:
    class Alternating(Curve):
        def resolve(self, clock: Clock) -> Schedule:
            return lambda step: 0.1 * (step % 2)

        def __str__(self) -> str:
            return "alternating()"

    assert cutoffs(Alternating(), CLOCK) == ()
    assert join({"0ep": Alternating(), "5ep": standard(0.2)}).resolve(CLOCK)(51) == 0.2
