"""Selectors with ranges match the numbers written and no others, wherever these stand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from droptime.sites import Site
from droptime.sites.selectors import read_selector

spans = st.tuples(st.integers(0, 130), st.integers(0, 130)).map(lambda ends: tuple(sorted(ends)))
span_lists = st.lists(spans, min_size=1, max_size=4)
words = st.sampled_from(["blocks", "layer", "drop", "attn", "mlp", "x1", "0x", "a-b"])


def written(parts: list[tuple[int, int]]) -> str:
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in parts)


@given(span_lists, words, words, st.sampled_from("./"), st.integers(0, 140))
def test_a_part_in_braces(
    parts: list[tuple[int, int]], before: str, after: str, dot: str, number: int
) -> None:
    selector = read_selector(f"{before}{dot}{{{written(parts)}}}{dot}*")
    wanted = any(first <= number <= last for first, last in parts)
    assert selector.matches(Site(f"{before}.{number}.{after}", "mine", "p", 0.0, "open")) == wanted


@given(spans, words, st.sampled_from("./"), st.integers(0, 140))
def test_a_part_without_braces(span: tuple[int, int], word: str, dot: str, number: int) -> None:
    selector = read_selector(f"*{dot}{span[0]}-{span[1]}{dot}*:mine")
    path = f"stages.999.{word}.{number}.drop"
    wanted = span[0] <= number <= span[1]
    assert selector.matches(Site(path, "mine", "p", 0.0, "open")) == wanted
    assert not selector.matches(Site(path, "element", "p", 0.0, "open"))


@given(spans, st.integers(0, 1400))
def test_a_number_inside_a_name(span: tuple[int, int], number: int) -> None:
    selector = read_selector(f"dense{{{span[0]}-{span[1]}}}*")
    wanted = span[0] <= number <= span[1]
    assert selector.matches(Site(f"dense{number}", "element", "p", 0.0, "open")) == wanted
    assert selector.matches(Site(f"dense{number}.drop", "element", "p", 0.0, "open")) == wanted
