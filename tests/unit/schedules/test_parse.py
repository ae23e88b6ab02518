"""The text form: what it looks like, what it accepts, and where its errors point."""

from __future__ import annotations

import pytest

from droptime.errors import CurveError, CurveSyntaxError
from droptime.schedules import early, parse, piecewise, standard
from droptime.schedules.parsing import EXAMPLES
from droptime.schedules.syntax import DEEPEST


@pytest.mark.parametrize("text", EXAMPLES.values())
def test_every_example_is_the_text_of_its_curve(text: str) -> None:
    assert str(parse(text)) == text


def test_names_may_be_given_or_left_out() -> None:
    curve = early(0.1, until="50ep")
    assert parse("early(p=0.1, until=50ep)") == curve
    assert parse("early(shape=linear, until=50ep, p=1e-1)") == curve
    assert parse("  early ( .1 ,\n\tuntil = 50ep )  ") == curve


def test_knots_may_mix_units() -> None:
    text = "piecewise(0ep: 0.0, 100st: 0.25, 50%: 0.1)"
    assert parse(text) == piecewise({"0ep": 0.0, "100st": 0.25, "50%": 0.1})
    assert str(parse(text)) == text


POINTED = [
    ("standard(«1.5»)", "not a drop rate"),
    ("standard(«1»)", "p: 1 is not a drop rate"),
    ("standard(«-0.1»)", "not a drop rate"),
    ("standard(«nan»)", "not a drop rate"),
    ("standard(«50%»)", "not a drop rate"),
    ("standard(«early(0.1, until=5ep)»)", "not a drop rate"),
    ("early(0.1, until=«50»)", "has no unit: write '50ep'"),
    ("early(0.1, until=«50days»)", "is not a duration"),
    ("early(0.1, until=«150%»)", "longer than the run"),
    ("early(0.1, until=«1.5st»)", "not a whole number of steps"),
    ("early(0.1, until=«0ep»)", "leaves the phase no step"),
    ("early(0.1, until=50ep, shape=«linaer»)", "Did you mean 'linear'"),
    ("early(0.1, «untl»=50ep)", "Did you mean 'until'"),
    ("early(0.1, until=5ep, «until=6ep»)", "until is given twice"),
    ("early(0.1, «p=0.2», until=5ep)", "p is given twice"),
    ("early(0.1, «50ep»)", "only p may stand without a name"),
    ("early(until=50ep, «0.1»)", "only p may stand without a name"),
    ("early(«0.1: 50ep»)", "takes arguments"),
    ("«early(0.1)»", "needs until: write for example early"),
    ("«erly»(0.1, until=5ep)", "Did you mean 'early'"),
    ("late(0.1, since=5ep, shape=«cosine»)", "There are: constant, linear"),
    ("piecewise(0%: 0.1, «0.0%»: 0.2)", "knot 2: 0% does not come after 0%"),
    ("piecewise(0%: 0.1, 50%: 0.2, «20%»: 0.3)", "knot 3: 20% does not come after 50%"),
    ("piecewise(0%: 0.1, 50%: «1.2»)", "rate 2: 1.2 is not a drop rate"),
    ("piecewise(0%: 0.1, «50»: 0.2)", "knot 2: 50 has no unit"),
    ("«piecewise(0%: 0.1)»", "at least two knots"),
    ("piecewise(«0.1», 5%: 0.2)", "takes pairs"),
    ("piecewise(0%: 0.1, «5%=0.2»)", "takes pairs"),
    ("join(«5ep»: standard(0.1), 10ep: standard(0.2))", "start at 0ep"),
    ("join(0ep: standard(0.1), 10ep: «0.2»)", "curve 2: 0.2 is not a curve"),
    ("join(0ep: standard(0.1), 9ep: join(0ep: standard(0.1), 5ep: standard(«2»)))", "p: 2 is"),
    ("«join()»", "at least two pieces"),
    ("exponential(0.1, «0», until=5ep)", "out of an exponential's reach"),
    ("relative(«0.1»)", "curve: 0.1 is not a curve"),
    ("relative(standard(«1»))", "p: 1 is not a drop rate"),
    ("«relative()»", "needs curve: write for example relative"),
    ("relative(«relative(standard(0.1))»)", "stands outside every other curve"),
    ("join(0ep: standard(0.1), 5ep: «relative(standard(0.2))»)", "write relative\\(join"),
    ("«from_function»(my.module:ramp)", "no text to read back"),
    ("standard(0.1) «x»", "nothing more after the curve, found 'x'"),
    ("standard(0.1«", "expected ',' or '\\)', found the end"),
    ("standard«", "expected '\\(', found the end"),
    ("«", "expected a curve's name"),
    ("«(»0.1)", "expected a curve's name"),
    ("standard(0.1,«)»", "expected an argument, found '\\)'"),
]


@pytest.mark.parametrize(("marked", "problem"), POINTED)
def test_errors_point_at_the_offending_piece(marked: str, problem: str) -> None:
    text = marked.replace("«", "").replace("»", "")
    start = marked.index("«")
    end = marked.index("»") - 1 if "»" in marked else start + 1
    with pytest.raises(CurveSyntaxError, match=problem) as caught:
        parse(text)
    assert (caught.value.start, caught.value.end) == (start, end)
    assert caught.value.text == text


def test_line_breaks_do_not_move_the_marker() -> None:
    with pytest.raises(CurveSyntaxError) as caught:
        parse("early(0.1,\n\tuntil=50)")
    assert str(caught.value).splitlines()[1:] == ["  early(0.1,  until=50)", " " * 20 + "^^"]


def test_nesting_has_a_bound() -> None:
    def nested(depth: int) -> str:
        inside = "standard(0.1)" if depth == 1 else nested(depth - 1)
        return f"join(0ep: standard(0.1), 1ep: {inside})" if depth > 1 else inside

    assert str(parse(nested(DEEPEST))) == nested(DEEPEST)
    with pytest.raises(CurveSyntaxError, match="no more than 20 curves inside each other"):
        parse(nested(DEEPEST + 1))


def test_long_words_are_read_in_no_time() -> None:
    with pytest.raises(CurveSyntaxError, match="too many digits"):
        parse("early(0.1, until=" + "9" * 5000 + "ep)")


def test_only_text_is_parsed() -> None:
    with pytest.raises(CurveError, match="parse reads a curve's text"):
        parse(standard(0.1))  # type: ignore[arg-type]
