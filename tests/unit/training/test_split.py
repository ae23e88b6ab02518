from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from droptime.errors import DataError
from droptime.training.data.split import choose, hold_out

LABELS = np.repeat([0, 1, 2], [50, 30, 20])


def test_held_out_part_keeps_the_proportions() -> None:
    kept, held = hold_out(LABELS, 0.2, seed=0)
    assert np.bincount(LABELS[held]).tolist() == [10, 6, 4]
    assert sorted([*kept, *held]) == list(range(100))


def test_the_seed_alone_decides() -> None:
    first, again, other = (hold_out(LABELS, 0.2, seed=seed)[1].tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_a_class_of_one_image_cannot_be_split() -> None:
    with pytest.raises(DataError, match="Class 7 has 1 image"):
        hold_out(np.array([0, 0, 7]), 0.5, seed=0)


def test_both_sides_keep_every_class() -> None:
    labels = np.array([0] * 50 + [1] * 2)
    for fraction in (0.01, 0.99):
        kept, held = hold_out(labels, fraction, seed=0)
        assert set(labels[kept]) == set(labels[held]) == {0, 1}


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    part=st.floats(0, 1),
    seed=st.integers(0, 5),
)
def test_subset_has_the_size_and_every_class_its_share(
    sizes: list[int], part: float, seed: int
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    count = round(len(sizes) + part * (len(labels) - len(sizes)))
    chosen = choose(labels, count, seed=seed)
    assert len(set(chosen.tolist())) == len(chosen) == count
    found = np.bincount(labels[chosen], minlength=len(sizes))
    assert (found >= 1).all()
    spare = np.array(sizes) - 1
    share = 1 + (count - len(sizes)) * spare / max(spare.sum(), 1)
    assert (np.abs(found - share) < 1).all()


@pytest.mark.parametrize("count", [2, 101])
def test_a_subset_of_impossible_size(count: int) -> None:
    with pytest.raises(DataError, match="choose a limit from 3 to 100"):
        choose(LABELS, count, seed=0)
