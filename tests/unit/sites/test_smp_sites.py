"""segmentation-models-pytorch: dropout of encoders, decoders and heads."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from droptime import Clock, DropScheduler, find_sites, verify

smp = pytest.importorskip("segmentation_models_pytorch")

IMAGE = torch.randn(2, 3, 64, 64)


def _model(encoder: str, decoder: str = "FPN", **settings: Any) -> Any:
    torch.manual_seed(0)
    return getattr(smp, decoder)(encoder, encoder_weights=None, **settings).train()


def _kinds(model: Any) -> set[tuple[str, str]]:
    return {(site.kind, site.attribute) for site in find_sites(model)}


def test_efficientnet_holds_one_rate_for_all_its_blocks() -> None:
    model = _model("efficientnet-b0")
    assert _kinds(model) == {
        ("drop_path", "_drop_connect_rate"),
        ("element", "p"),
    }
    verdicts = {proof.site.name: proof.verdict for proof in verify(model, IMAGE).proofs}
    assert verdicts == {
        "encoder._dropout.p": "dead",  # of the classifier that smp takes away
        "encoder._drop_connect_rate": "acts",
        "decoder.dropout.p": "acts",
    }
    found = model.encoder._drop_connect_rate
    drop = DropScheduler(model, drop_path="standard(0.5)", clock=Clock(total_steps=2))
    assert model.encoder._drop_connect_rate == 0.5
    drop.close()
    assert model.encoder._drop_connect_rate == found


def test_mix_transformer_and_the_head_of_a_classifier() -> None:
    head = {"classes": 2, "dropout": 0.3}
    model = _model("mit_b0", "Unet", aux_params=head)
    assert ("drop_path", "drop_prob") in _kinds(model)
    assert [site.path for site in find_sites(model) if site.kind == "head"] == [
        "classification_head.2"
    ]
    report = verify(model, IMAGE)
    assert {proof.verdict for proof in report.proofs} == {"acts"}
