"""The transformers wing of the zoo: a handful of families of every sort are built and run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from droptime import find_sites
from droptime.sites.undisturbed import tensors
from tests.zoo.specimen import Specimen
from tests.zoo.transformers_models import RAISED, families, specimens, unbuilt

SPECIMENS = {specimen.family: specimen for specimen in specimens()}


def test_every_family_is_a_specimen_or_has_a_reason() -> None:
    assert {*SPECIMENS, *unbuilt()} == set(families())
    assert not set(SPECIMENS) & set(unbuilt())
    assert all(unbuilt().values())
    assert len(SPECIMENS) > 400


@pytest.mark.parametrize(
    "family",
    ["bert", "llama", "bart", "wav2vec2", "swin", "detr", "clip", "qwen2_vl", "timm_backbone"],
)
@pytest.mark.filterwarnings("ignore")
def test_a_specimen_is_the_same_model_at_any_rate_and_runs(family: str) -> None:
    specimen: Specimen = SPECIMENS[family]
    raised, zero = specimen.build(True), specimen.build(False)
    for (name, one), (other_name, other) in zip(
        raised.state_dict().items(), zero.state_dict().items(), strict=True
    ):
        assert name == other_name
        assert torch.equal(one, other)
    for model in (raised, zero):
        state = torch.get_rng_state()
        batch = specimen.example(model)
        assert torch.equal(torch.get_rng_state(), state)
        assert isinstance(batch, dict)
        assert model.training
        assert tensors(model(**batch))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["bert", "beit", "wav2vec2"])
def test_rates_are_raised_or_at_0(family: str) -> None:
    def rates(model: nn.Module) -> set[float]:
        return {site.rate for site in find_sites(model) if site.state == "open"}

    specimen = SPECIMENS[family]
    assert max(rates(specimen.build(True))) == pytest.approx(RAISED)
    assert rates(specimen.build(False)) == {0.0}


@pytest.mark.filterwarnings("ignore")
def test_a_nested_config_is_raised_too() -> None:
    model: Any = SPECIMENS["clip"].build(True)
    assert model.config.text_config.attention_dropout == RAISED
    assert model.config.vision_config.attention_dropout == RAISED
