"""GradientDirections against the twins that store every gradient and form every pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from droptime.dynamics import GradientDirections, Reference, error_effect, variance_effect
from tests.oracles import directions as twin

SHAPES = {"blocks.0.weight": (7, 5), "blocks.0.bias": (7,), "head.weight": (3, 7)}
EXACT: dict[str, Any] = {"rel": 1e-12, "abs": 1e-14}
K = 9


def gradients(seed: int, k: int = K, common: float = 0.3) -> list[dict[str, Tensor]]:
    """Gradients with something in common, and norms that differ much."""
    random = torch.Generator().manual_seed(seed)
    mean = {n: torch.randn(s, generator=random) for n, s in SHAPES.items()}
    return [
        {
            n: (common * mean[n] + torch.randn(s, generator=random)) * 10.0 ** (i % 4 - 2)
            for n, s in SHAPES.items()
        }
        for i in range(k)
    ]


def stored(found: list[dict[str, Tensor]], group: str | None = None) -> twin.Vectors:
    names = [n for n in SHAPES if group is None or n.startswith(group)]
    rows = [torch.cat([g[n].flatten().double() for n in names]).numpy() for g in found]
    return np.stack(rows)


def taken(found: list[dict[str, Tensor]], **settings: object) -> GradientDirections:
    directions = GradientDirections(**settings)  # type: ignore[arg-type]
    for gradient in found:
        directions.update(gradient)
    return directions


@pytest.mark.parametrize("group", [None, "blocks.0", "head"])
@pytest.mark.parametrize("halved", [True, False])
def test_values_and_errors_are_the_twins(group: str | None, halved: bool) -> None:
    found, against = gradients(1), gradients(2, k=1)
    reference = Reference.of(against[0])
    ours = taken(found, groups="layer", halved=halved, reference=reference)
    rows, target = stored(found, group), stored(against, group)[0]

    variance = ours.variance(group)
    assert variance.value == pytest.approx(twin.variance(rows, halved=halved), **EXACT)
    expected = twin.jackknife(lambda g: twin.variance(g, halved=halved), rows)
    assert variance.standard_error == pytest.approx(expected, rel=1e-9)

    distances = [twin.error(g[None], target, halved=halved) for g in rows]
    for error in (ours.error(group=group), ours.error(Reference.of(against[0]), group=group)):
        assert error.value == pytest.approx(np.mean(distances), **EXACT)
        expected = np.std(distances, ddof=1) / np.sqrt(K)
        assert error.standard_error == pytest.approx(expected, rel=1e-9)
        assert error.halved is halved

    norms = np.linalg.norm(rows, axis=1)
    assert ours.norm(group).value == pytest.approx(norms.mean(), **EXACT)


@pytest.mark.parametrize("group", [None, "head"])
def test_noise_scale_is_mccandlish_s(group: str | None) -> None:
    found = [{n: g / g.norm() for n, g in x.items()} for x in gradients(3, common=3.0)]
    ours = taken(found, groups="layer").noise_scale(32, group=group)
    rows = stored(found, group)
    assert ours.value == pytest.approx(twin.noise_scale(rows, 32), rel=1e-11)
    expected = twin.jackknife(lambda g: twin.noise_scale(g, 32), rows)
    assert ours.standard_error == pytest.approx(expected, rel=1e-9)


def test_pairing_leaves_out_a_mini_batch_on_both_sides() -> None:
    left, right = gradients(4), gradients(5)
    reference = Reference.of(gradients(6, k=1)[0])
    on, off = (taken(side, reference=reference) for side in (left, right))
    rows = stored(left), stored(right)

    def difference(a: twin.Vectors, b: twin.Vectors) -> float:
        return twin.variance(a) - twin.variance(b)

    effect = variance_effect(on, off)
    assert effect.value == pytest.approx(difference(*rows), **EXACT)
    assert effect.standard_error == pytest.approx(twin.jackknife(difference, *rows), rel=1e-9)

    target = stored(gradients(6, k=1))[0]
    each = [
        twin.error(a[None], target) - twin.error(b[None], target)
        for a, b in zip(*rows, strict=True)
    ]
    error = error_effect(on, off)
    assert error.value == pytest.approx(np.mean(each), **EXACT)
    assert error.standard_error == pytest.approx(np.std(each, ddof=1) / np.sqrt(K), rel=1e-9)


def test_cosines_of_pairs_and_of_two_sets() -> None:
    left, right = gradients(7), gradients(8, k=4)
    ours, theirs = taken(left, groups="layer"), taken(right, groups="layer")
    for group in (None, "head"):
        a, b = stored(left, group), stored(right, group)
        expected = np.array([[twin.cosine(x, y) for y in a] for x in a])
        np.testing.assert_allclose(ours.cosines(group=group), expected, atol=1e-12)
        mean = np.mean([[twin.cosine(x, y) for y in b] for x in a])
        assert ours.mean_cosine(theirs, group=group) == pytest.approx(mean, **EXACT)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float64(dtype: torch.dtype) -> None:
    found = [{n: g.to(dtype) for n, g in x.items()} for x in gradients(9)]
    assert taken(found).variance().value == pytest.approx(twin.variance(stored(found)), **EXACT)
