"""The paper's six models: their sizes, initial weights and the places their one rate drives."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import cache

import pytest
import torch
from torch import Tensor, nn

import droptime
from droptime.errors import ConfigError
from droptime.scheduler import DropScheduler
from droptime.training import TrainConfig
from droptime.training.models.build import expected_size, make_model
from droptime.training.models.paper import PAPER_MODELS, make_paper_model
from droptime.training.step.optim import decay_groups

Law = Callable[[Tensor], bool]

# Name: (parameters, not decayed, masks of dropout in a forward, blocks) of the official code.
COUNTS = {
    "vit_t16": (5_717_416, 69_544, 49, 12),
    "mixer_s32": (19_104_624, 41_840, 32, 8),
    "swin_f": (5_126_988, 43_468, 49, 12),
    "convnext_f": (5_217_784, 23_128, 24, 12),
    "vit_b16": (86_567_656, 275_176, 49, 12),
    "mixer_b16": (59_880_472, 93_208, 48, 12),
}


@cache
def outline(name: str) -> nn.Module:
    """The model without memory for its weights."""
    with torch.device("meta"):
        return make_paper_model(name, num_classes=1000)


@cache
def weights(name: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return dict(make_paper_model(name, num_classes=1000).named_parameters())


def size(parameters: object) -> int:
    return sum(p.numel() for p in parameters)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COUNTS)
def test_as_many_parameters_as_the_papers(name: str) -> None:
    model = outline(name)
    spared, decayed = decay_groups(model, weight_decay=0.05)
    assert size(model.parameters()) == PAPER_MODELS[name].parameters == COUNTS[name][0]
    assert (spared["weight_decay"], decayed["weight_decay"]) == (0.0, 0.05)
    assert size(spared["params"]) == PAPER_MODELS[name].undecayed == COUNTS[name][1]
    assert size(spared["params"]) + size(decayed["params"]) == COUNTS[name][0]


@pytest.mark.parametrize("name", COUNTS)
def test_one_rate_drives_every_place_but_the_head(name: str) -> None:
    plan = droptime.plan(outline(name))
    driven = [row.site for row in plan.driven("dropout")]
    assert len(driven) == COUNTS[name][2]
    assert {site.state for site in driven} == {"open"}
    left = [row.site for row in plan.rows if row.driver is None]
    assert {site.kind for site in left} <= {"head", "patch"}
    if name.startswith(("vit", "swin")):
        places = {re.sub(r"\d+", "#", site.path) for site in driven}
        block = "blocks.#" if name.startswith("vit") else "layers.#.blocks.#"
        first = "pos_drop" if name.startswith("vit") else "layers.#.downsample"
        inner = ("attn.attn_drop", "attn.proj_drop", "mlp.drop#", "mlp.drop#")
        assert places == {first, *(f"{block}.{place}" for place in inner)}


@pytest.mark.parametrize("name", COUNTS)
def test_nothing_drops_unless_asked(name: str) -> None:
    assert {site.rate for site in droptime.find_sites(outline(name))} == {0.0}


@pytest.mark.parametrize("name", COUNTS)
def test_stochastic_depth_rises_linearly_over_all_blocks(name: str) -> None:
    blocks = COUNTS[name][3]
    rows = droptime.plan(outline(name)).driven("drop_path")
    factors = list(dict.fromkeys(row.factor for row in rows))
    assert factors == [block / (blocks - 1) for block in range(blocks)]


def test_the_dropout_after_swins_patches_acts() -> None:
    model = make_paper_model("swin_f", num_classes=3).train()
    image = torch.randn(1, 3, 224, 224)
    clock = droptime.Clock(total_steps=1)
    drop = DropScheduler(model, rates={"layers.0.downsample": "standard(0.5)"}, clock=clock)
    masked = []
    model.get_submodule("layers.0.downsample").register_forward_hook(
        lambda _, __, output: masked.append((output == 0).float().mean().item())
    )
    first, second = model(image), model(image)
    assert masked == pytest.approx([0.5, 0.5], abs=5 * 0.5 / math.sqrt(56 * 56 * 40))
    assert not torch.equal(first, second)
    drop.close()
    plain = make_paper_model("swin_f", num_classes=3)
    plain.get_submodule("layers.0").downsample = nn.Identity()
    assert plain.state_dict().keys() == model.state_dict().keys()


def normal(value: Tensor, std: float, *, kurtosis: float = 3.0) -> bool:
    """Whether mean and deviation are those of a law around 0, within 5 standard errors."""
    of_mean = std / math.sqrt(value.numel())
    of_std = std * math.sqrt((kurtosis - 1) / (4 * value.numel()))
    centred = abs(value.mean().item()) < 5 * of_mean
    return centred and abs(value.std().item() - std) < 5 * of_std


def uniform(value: Tensor, bound: float) -> bool:
    inside = value.abs().max().item() <= bound * (1 + 1e-6)
    return inside and normal(value, bound / math.sqrt(3), kurtosis=1.8)


def check_each(name: str, laws: Mapping[str, Law]) -> None:
    """Hold each weight against the first law whose pattern its name has."""
    for path, value in weights(name).items():
        law = next(law for pattern, law in laws.items() if re.search(pattern, path))
        assert law(value.detach()), path


def zero(value: Tensor) -> bool:
    return not value.any()


def one(value: Tensor) -> bool:
    return bool((value == 1).all())


def std_02(value: Tensor) -> bool:
    return normal(value, 0.02)


def default_conv(value: Tensor) -> bool:
    """torch's own: uniform within 1 / sqrt(fan in)."""
    return uniform(value, 1 / math.sqrt(value[0].numel()))


def test_vit_begins_as_the_papers() -> None:
    laws: dict[str, Law] = {
        "cls_token|pos_embed": std_02,
        r"patch_embed.*weight": default_conv,
        r"patch_embed.*bias": lambda bias: uniform(bias, 1 / math.sqrt(768)),
        r"norm.*weight": one,
        "bias": zero,
        "weight": std_02,
    }
    check_each("vit_t16", laws)


def test_swin_begins_as_the_papers() -> None:
    laws: dict[str, Law] = {
        r"patch_embed\.proj\.weight": default_conv,
        r"patch_embed\.proj\.bias": lambda bias: uniform(bias, 1 / math.sqrt(48)),
        r"norm.*weight": one,
        "relative_position_bias_table": std_02,
        "bias": zero,
        "weight": std_02,
    }
    check_each("swin_f", laws)


def test_mixer_begins_as_the_papers() -> None:
    def xavier(value: Tensor) -> bool:
        return uniform(value, math.sqrt(6 / sum(value.shape)))

    def lecun(value: Tensor) -> bool:
        return normal(value, 1 / math.sqrt(value[0].numel()))

    laws: dict[str, Law] = {
        "^head": zero,
        r"stem.*weight": lecun,
        r"norm.*weight": one,
        r"mlp.*bias": lambda bias: normal(bias, 1e-6),
        "bias": zero,
        "mlp.*weight": xavier,
    }
    check_each("mixer_s32", laws)


def test_convnext_begins_as_the_papers() -> None:
    laws: dict[str, Law] = {
        "gamma": lambda gamma: bool((gamma == 1e-6).all()),
        r"norm.*weight|downsample\.0\.weight|stem\.1\.weight": one,
        "bias": zero,
        "weight": std_02,
    }
    check_each("convnext_f", laws)


def config(model: str, **settings: str) -> TrainConfig:
    return TrainConfig(data="folder:x", model=model, **settings)  # type: ignore[arg-type]


def test_convnext_has_stochastic_depth_only() -> None:
    asked = config("convnext_f", dropout="standard(0.1)")
    with pytest.raises(ConfigError, match=r"stochastic depth only.*convnext_femto"):
        make_model(asked, classes=10, channels=3)
    with torch.device("meta"):
        make_model(config("convnext_f", drop_path="standard(0.1)"), classes=10, channels=3)
        make_model(config("convnext_femto", dropout="standard(0.1)"), classes=10, channels=3)


def test_short_names_are_models_of_a_run() -> None:
    assert expected_size(config("vit_t16")) == 224
    with pytest.raises(ConfigError, match="did you mean vit_t16"):
        expected_size(config("vit_t_16"))
