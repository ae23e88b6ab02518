"""DDP and FSDP2 on two processes: rates agree, masks do not, steps are optimizer steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.ranks import ACCUMULATE, STEPS, WIDE, on_two_ranks

pytestmark = pytest.mark.slow

RATES = [(0.4 * (1 - s / 3), 0.6 * (1 - s / 3), 0.6 * (1 - s / 3), 0.5) for s in range(STEPS)]
"""At each optimizer step: functional dropout, element dropout, attention, drop path."""


@pytest.fixture(scope="module", params=["ddp, driven first", "ddp", "fsdp2, driven first", "fsdp2"])
def ranks(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    work, *order = request.param.split(", ")
    return on_two_ranks(work, bool(order))


def test_every_rank_has_the_same_rates_and_they_change_at_optimizer_steps_only(
    ranks: list[dict[str, Any]],
) -> None:
    for rank in ranks:
        for micro, rates in enumerate(rank["rates"][: STEPS * ACCUMULATE]):
            assert rates == pytest.approx(RATES[micro // ACCUMULATE])


def test_masks_of_ranks_are_independent(ranks: list[dict[str, Any]]) -> None:
    first, second = (rank["masks"].float() - 0.5 for rank in ranks)
    deviation = WIDE.numel() ** -0.5
    for correlation in (4 * first * second).mean(), (2 * first).mean(), (2 * second).mean():
        assert abs(correlation.item()) < 5 * deviation


def test_ranks_end_with_the_same_weights(ranks: list[dict[str, Any]]) -> None:
    for name, weight in ranks[0]["weights"].items():
        assert torch.equal(weight, ranks[1]["weights"][name]), name


def test_ddp_broadcasts_no_rate_and_fsdp_stays_on(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert rank.get("broadcast", 6) == 6  # three buffers for each of two batch norms
        assert rank.get("class", "FSDPNet") == "FSDPNet"
