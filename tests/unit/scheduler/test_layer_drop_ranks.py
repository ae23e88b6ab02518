"""Layer drop under DDP and FSDP2: all ranks drop the same layers, and again after a resume."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.layer_drop_ranks import LAYERS, layer_drop
from tests.ranks import ACCUMULATE, STEPS, on_two_ranks

pytest.importorskip("transformers")
pytestmark = pytest.mark.slow

CASES = [("wav2vec2", "ddp"), ("bart", "fsdp2")]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def ranks(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return on_two_ranks(layer_drop, *request.param)


def test_ranks_drop_the_same_layers(ranks: list[dict[str, Any]]) -> None:
    first, second = (rank["whole"] for rank in ranks)
    assert first == second
    kept = [len(ran) for ran in first]
    assert len(kept) == STEPS * ACCUMULATE
    assert 0 < sum(kept) < LAYERS * len(kept)
    assert len({tuple(ran) for ran in first}) > 2  # not one choice for ever


def test_masks_of_elements_stay_independent(ranks: list[dict[str, Any]]) -> None:
    first, second = (rank["mask"].float() - 0.5 for rank in ranks)
    assert abs((4 * first * second).mean().item()) < 5 * first.numel() ** -0.5


def test_ranks_end_with_equal_weights(ranks: list[dict[str, Any]]) -> None:
    for first, second in zip(ranks[0]["whole weights"], ranks[1]["whole weights"], strict=True):
        assert torch.equal(first, second)


def test_a_run_resumed_at_a_step_drops_the_same_layers(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert rank["resumed"] == rank["whole"][2 * ACCUMULATE :]
