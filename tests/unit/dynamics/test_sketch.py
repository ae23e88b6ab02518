"""The sketch's promise: inner products without bias, within the stated bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from droptime.dynamics import GradientDirections
from droptime.dynamics.layout import Layout
from droptime.dynamics.sketch import FOLDS, Sketch
from droptime.errors import ConfigError

SEEDS, WIDTH = 300, 64


KINDS = ["unrelated", "the same", "flat", "one column", "one fold", "half a line apart"]


def _pair(kind: str) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    x, y = torch.randn(2, 30 * WIDTH + 7, generator=random, dtype=torch.float64)
    if kind == "the same":
        y = x.clone()
    if kind == "flat":
        x, y = torch.ones_like(x), torch.ones_like(x)
    # numbers that plain folding, of either hash, would always add up
    apart = {"one column": FOLDS * WIDTH, "one fold": WIDTH, "half a line apart": WIDTH // 2}
    if kind in apart:
        x, y = torch.zeros_like(x), torch.zeros_like(x)
        x[:: apart[kind]] = y[:: apart[kind]] = 1.0
    return x, y


@pytest.mark.parametrize("kind", KINDS)
def test_inner_products_are_unbiased_and_within_the_bound(kind: str) -> None:
    x, y = _pair(kind)
    layout = Layout.of({"a": x[:300], "b": x[300:]})
    products = []
    for seed in range(SEEDS):
        sketch = Sketch(layout, width=WIDTH, seed=seed)
        left, right = (sketch.of([v[:300], v[300:]])[0] for v in (x, y))
        products.append(float(left @ right))
    size = float(x.norm() * y.norm())
    sd = float(np.std(products))
    assert abs(np.mean(products) - float(x @ y)) <= 5 * sd / np.sqrt(SEEDS) + 1e-12 * size
    assert sd <= np.sqrt(8 / WIDTH) * size
    if kind == "unrelated":
        assert sd <= 1.5 / np.sqrt(WIDTH) * size


def test_a_vector_that_fits_is_kept_as_it_is() -> None:
    x = {"a": torch.randn(3, 4), "b": torch.randn(5)}
    layout = Layout.of(x, "layer")
    row = Sketch(layout, width=17).of(layout.pieces(dict(x)))
    assert torch.equal(row.sum(0), torch.cat([v.flatten() for v in x.values()]).double())


def test_groups_add_up_to_the_whole() -> None:
    x = {"a.0.w": torch.randn(30, 40), "b.w": torch.randn(500)}
    whole, parts = Layout.of(x), Layout.of(x, "layer")
    pieces = whole.pieces(dict(x))
    one, two = (Sketch(layout, width=50).of(pieces) for layout in (whole, parts))
    torch.testing.assert_close(one.sum(0), two.sum(0), rtol=1e-12, atol=1e-12)


def test_without_vectors_values_are_near_the_exact_ones() -> None:
    """Every number within 5 of the stated sd, at 1/30 of the memory."""
    random = torch.Generator().manual_seed(0)
    mean = torch.randn(60_000, generator=random)
    n, width = 20, 2000
    exact, short = GradientDirections(sketch=width), GradientDirections(sketch=width, vectors=False)
    for _ in range(n):
        gradient = {"w": mean + torch.randn(60_000, generator=random)}
        exact.update(gradient)
        short.update(gradient)
    assert not short.sums
    bound = np.sqrt(8 / width)  # of a cosine; their mean is no worse
    assert abs(short.variance().value - exact.variance().value) < 5 * bound / 2
    assert abs(short.noise_scale().value / exact.noise_scale().value - 1) < 5 * bound


@pytest.mark.parametrize("width", [0, -1, 2.5, True])
def test_a_width_that_makes_no_sense(width: object) -> None:
    with pytest.raises(ConfigError, match="sketch="):
        Sketch(Layout.of({"a": torch.ones(2)}), width=width)  # type: ignore[arg-type]
