"""Dropout from narrow integers against a loop over the same random words: the same masks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from droptime.layers import narrow_dropout

SHAPES = ((1,), (3,), (4,), (2, 5, 7), (0, 3), ())
RATES = (2**-10, 0.1, 0.25, 1 / 3, 0.5, 0.9, 1 - 2**-10)


def _words(count: int) -> list[int]:
    """The next words of torch's CPU generator, 0 to 2^64 - 1."""
    signed = torch.empty(count, dtype=torch.int64).random_(-(2**63), None)
    return [word % 2**64 for word in signed.tolist()]


def _lanes(word: int) -> list[int]:
    """The four 16-bit integers of a word, lowest bits first, -2^15 to 2^15 - 1."""
    unsigned = [(word >> shift) % 2**16 for shift in (0, 16, 32, 48)]
    return [value - 2**16 if value >= 2**15 else value for value in unsigned]


def _twin(x: Tensor, p: float) -> Tensor:
    """Element by element, in plain Python numbers."""
    values = x.flatten().tolist()
    integers = [lane for word in _words(-(-len(values) // 4)) for lane in _lanes(word)]
    dropped = round(p * 2**16)
    scale = 2**16 / (2**16 - dropped)
    kept = [
        value * scale if integer + 2**15 >= dropped else 0.0
        for value, integer in zip(values, integers, strict=False)
    ]
    return torch.tensor(kept, dtype=x.dtype).view(x.shape)


@pytest.mark.parametrize("p", RATES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_masks_scales_and_words_drawn_are_the_twins(shape: tuple[int, ...], p: float) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    results = []
    for way in (narrow_dropout, _twin):
        torch.manual_seed(1)
        results.append((way(x, p), torch.get_rng_state()))
    for ours, twin in zip(*results, strict=True):
        assert torch.equal(ours, twin)


def test_a_long_run_of_words() -> None:
    x = torch.rand(2**16 + 3, dtype=torch.float64) + 1
    torch.manual_seed(2)
    ours = narrow_dropout(x, 0.3)
    torch.manual_seed(2)
    assert torch.equal(ours, _twin(x, 0.3))
