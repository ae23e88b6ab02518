"""A sample of the zoo: the quickest family for each way in which a library keeps a rate."""

from __future__ import annotations

import functools

import pytest

from tests.zoo import timm_models, torchvision_models, transformers_models
from tests.zoo.examine import AT_ZERO, examine
from tests.zoo.specimen import Specimen

SAMPLE = {
    "timm vision_transformer test_vit": "nn.Dropout, fused attention, DropPath, PatchDropout",
    "timm resnet test_resnet": "None in place of a layer, DropBlock2d, a float of the head",
    "timm convnext test_convnext": "placeholders nn.Identity, LayerScale",
    "timm byobnet test_byobnet": "DropBlock2d inside a norm layer",
    "timm starnet starnet_s050": "functional dropout of the head's float",
    "torchvision vision_transformer vit_b_16": "nn.MultiheadAttention's float",
    "torchvision swin_transformer swin_t": "functional attention's floats, StochasticDepth",
    "torchvision maxvit maxvit_t": "one module used in two places",
    "torchvision video.mvit mvit_v1_b": "dropout that is there only above 0",
    "torchvision detection.ssdlite ssdlite320_mobilenet_v3_large": "a dict of losses, no rate",
    "transformers bert BertModel": "a module whose p goes to attention",
    "transformers bart BartModel": "floats, layer drop of encoder and decoder",
    "transformers wav2vec2 Wav2Vec2Model": "layer drop of a config",
    "transformers swin SwinModel": "a drop path class of the model's own",
    "transformers data2vec Data2VecTextModel": "a rate read from a config",
}


AT_RATE_0 = {
    "timm vision_transformer test_vit": {"patch_drop"},
    "timm resnet test_resnet": {"drop_block"},
    "timm byobnet test_byobnet": {"drop"},
    "torchvision video.mvit mvit_v1_b": {"1"},
}
"""The modules that a model built at rate 0 lacks, and only those."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_every_rate_is_found_opened_proved_and_given_back(name: str) -> None:
    examination = examine(_specimen(name))
    assert [each for each in examination.findings if each.what not in AT_ZERO] == []
    assert examination.verdict == ("no rate" if "detection" in name else "proved")
    lacking = {each.where.split(".")[-2] for each in examination.findings}
    assert lacking == AT_RATE_0.get(name, set())
    for build in (examination.raised, examination.zero):
        assert build.given_back
        acts = build.verdicts.get("acts", 0) + build.verdicts.get("hidden", 0)
        assert acts == build.opened


def _specimen(name: str) -> Specimen:
    library, family, model = name.split(" ")
    if library == "timm":
        return timm_models.specimen(family, model)
    if library == "torchvision":
        return torchvision_models.specimen(family, model)
    return _transformers()[family]


@functools.cache
def _transformers() -> dict[str, Specimen]:
    return {specimen.family: specimen for specimen in transformers_models.specimens()}
