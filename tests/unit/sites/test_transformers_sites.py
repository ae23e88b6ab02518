"""transformers: every dropout is found with its kind, acts, and is given back as it was."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from droptime import Clock, DropScheduler, find_sites, verify
from droptime.sites.grips import PlainFloat
from droptime.sites.registry import USER_RULES, Found, rule
from tests.compiling import Compiled

transformers = pytest.importorskip("transformers")

TEXT: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 8,
}
VISION: dict[str, Any] = {key: TEXT[key] for key in TEXT if key != "vocab_size"} | {
    "image_size": 16,
    "patch_size": 4,
}
BART: dict[str, Any] = {
    "vocab_size": 50,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 8,
    "decoder_ffn_dim": 8,
}
AUDIO = VISION | {
    "conv_dim": (8, 8),
    "conv_stride": (4, 4),
    "conv_kernel": (8, 8),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 2,
    "num_conv_pos_embedding_groups": 2,
    "conv_pos_kernel_size": 5,
    "mask_time_prob": 0.0,
    "layerdrop": 0.1,
}
STAGES: dict[str, Any] = {
    "hidden_sizes": [8] * 4,
    "depths": [1] * 4,
    "num_attention_heads": [1] * 4,
}
PROPHET: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 16,
    "encoder_ffn_dim": 8,
    "decoder_ffn_dim": 8,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "num_encoder_attention_heads": 2,
    "num_decoder_attention_heads": 2,
}


def _tokens() -> torch.Tensor:
    return torch.randint(3, 50, (2, 6), generator=torch.Generator().manual_seed(0))


def _text() -> dict[str, Any]:
    return {"input_ids": _tokens()}


def _both() -> dict[str, Any]:
    return {"input_ids": _tokens(), "decoder_input_ids": _tokens()}


def _image() -> dict[str, Any]:
    return {"pixel_values": torch.randn(2, 3, 32, 32)}


def _small_image() -> dict[str, Any]:
    return {"pixel_values": torch.randn(2, 3, 16, 16)}


def _sound() -> dict[str, Any]:
    return {"input_values": torch.randn(2, 400)}


Case = tuple[dict[str, Any], Callable[[], dict[str, Any]], set[tuple[str, str]]]
ELEMENT, MODULE = ("element", "dropout"), ("element", "p")
LAYERS = ("layer_drop", "layerdrop")

FAMILIES: dict[str, Case] = {
    # model: settings, example, (kind, attribute) of all its sites
    "BertForSequenceClassification": (TEXT, _text, {MODULE, ("attention", "*"), ("head", "p")}),
    "GPT2LMHeadModel": (
        {"vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2},
        _text,
        {MODULE, ("attention", "p")},
    ),
    "LlamaForCausalLM": (TEXT, _text, {("attention", "attention_dropout")}),
    "T5Model": (
        {"vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 8, "num_layers": 1, "num_heads": 2},
        _both,
        {MODULE, ("attention", "dropout")},
    ),
    "BartModel": (
        BART | {"encoder_layerdrop": 0.1},
        _both,
        {ELEMENT, ("element", "activation_dropout"), ("attention", "dropout"), LAYERS},
    ),
    "BlenderbotModel": (
        BART,
        _both,
        {ELEMENT, ("element", "activation_dropout"), ("attention", "dropout"), LAYERS},
    ),
    "Data2VecAudioModel": (
        AUDIO,
        _sound,
        {MODULE, ("attention", "dropout"), ("layer_drop", "config.layerdrop")},
    ),
    "WavLMModel": (
        AUDIO,
        _sound,
        {MODULE, ("attention", "dropout"), ("layer_drop", "config.layerdrop")},
    ),
    "ProphetNetModel": (
        PROPHET,
        _both,
        {
            ELEMENT,
            ("element", "activation_dropout"),
            ("element", "config.dropout"),
            ("attention", "attention_dropout"),
        },
    ),
    "EsmModel": (
        TEXT | {"pad_token_id": 1, "mask_token_id": 4},
        _text,
        {MODULE, ("attention", "dropout")},
    ),
    "Dinov2Model": (
        VISION | {"drop_path_rate": 0.1},
        _small_image,
        {MODULE, ("attention", "*"), ("drop_path", "drop_prob")},
    ),
    "Data2VecVisionModel": (
        VISION | {"attention_probs_dropout_prob": 0.1},
        _small_image,
        {MODULE, ("attention", "*"), ("drop_path", "drop_prob")},
    ),
    "ConvNextModel": (STAGES, _image, {("drop_path", "drop_prob")}),
    "SegformerModel": (STAGES, _image, {MODULE, ("attention", "*"), ("drop_path", "drop_prob")}),
    "MambaModel": (
        {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1},
        _text,
        set(),
    ),
}


def _build(name: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    cls = getattr(transformers, name)
    return cls(cls.config_class(**FAMILIES[name][0], **settings)).train()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_site_is_found_and_acts(name: str) -> None:
    model, (_, example, expected) = _build(name), FAMILIES[name]
    sites = [site for site in find_sites(model) if site.state != "dead"]
    assert not [site for site in sites if site.state == "unknown"]
    attributes = {kind for kind, attribute in expected if attribute == "*"}
    found = {(s.kind, "*" if s.kind in attributes else s.attribute) for s in sites}
    assert found == expected
    never_called = {  # by transformers itself, in some version
        "encoder.layer.0.attention.self.dropout.p": "fused attention has a float of its own",
        "encoder.layer.1.attention.self.dropout.p": "fused attention has a float of its own",
        "encoder.layer.0.attention.attention.dropout.p": "as above",
        "encoder.layer.1.attention.attention.dropout.p": "as above",
        "embeddings.dropout.p": "EsmModel has it and does not use it",
    }
    for proof in verify(model, example()).proofs:
        known = proof.site.name.removeprefix("bert.") in never_called
        assert proof.verdict in (("acts", "dead") if known else ("acts",)), proof


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "MambaModel"])
def test_close_gives_the_identical_model_back(name: str) -> None:
    model = _build(name)
    before = _seen(model)
    drop = _drive_all(model)
    drop.step()
    assert _seen(model) != before
    drop.close()
    assert _seen(model) == before


def _drive_all(model: nn.Module) -> DropScheduler:
    kinds = {site.kind for site in find_sites(model)}
    curves: dict[str, Any] = {
        kind: f"late({rate}, since=0%)"
        for kind, rate in (("head", 0.2), ("layer_drop", 0.3))
        if kind in kinds
    }
    if kinds & {"element", "attention"}:
        curves["dropout"] = "early(0.4, until=4st)"
    named = {key: curves.pop(key) for key in ("dropout",) if key in curves}
    if "drop_path" in kinds:
        named["drop_path"] = "early(0.4, until=4st)"
    return DropScheduler(model, **named, rates=curves, clock=Clock(total_steps=8))


def _seen(model: nn.Module) -> list[Any]:
    """Classes, attributes (configs by identity) and children of every module."""
    modules: list[Any] = [
        (
            name,
            type(module),
            {
                key: value if isinstance(value, (int, float, str)) else id(value)
                for key, value in vars(module).items()
                if key not in ("_modules",)
            },
            list(module._modules),
        )
        for name, module in model.named_modules()
    ]
    config: Any = model.config
    return [*modules, list(model.state_dict()), config.to_dict()]


def test_a_driven_config_rate_is_seen_by_its_module_only() -> None:
    model = _build("Data2VecAudioModel")
    config, built = model.config, model.config.to_dict()
    rates: dict[str, Any] = {"layer_drop": "standard(0.6)"}
    drop = DropScheduler(model, rates=rates, clock=Clock(total_steps=4))
    view = model.encoder.config
    assert view.layerdrop == 0.6
    assert config.layerdrop == 0.1
    assert isinstance(view, type(config))
    assert view.__class__ is type(config)
    assert view.to_dict() == config.to_dict() == built
    view.use_cache = config.vocab_size = 7
    assert config.use_cache == view.vocab_size == 7
    drop.close()
    assert model.encoder.config is config


@pytest.mark.parametrize("name", ["ProphetNetEncoder", "Data2VecAudioModel"])
def test_saving_in_the_middle_of_a_schedule_writes_the_built_rates(
    name: str, tmp_path: Path
) -> None:
    own = name == "ProphetNetEncoder"  # the root itself reads its config
    root = _build("ProphetNetModel").encoder if own else _build(name)
    built = root.config.to_dict()
    drop = _drive_all(root)
    drop.step()
    root.save_pretrained(tmp_path)
    again = type(root).from_pretrained(tmp_path)
    rates = {key: value for key, value in built.items() if "drop" in key}
    assert rates
    assert {key: value for key, value in again.config.to_dict().items() if key in rates} == rates
    for key, value in root.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)


def _deep(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model)


def _pickled(model: nn.Module) -> nn.Module:
    return pickle.load(io.BytesIO(pickle.dumps(model)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("copying", [_deep, _pickled])
@pytest.mark.parametrize(
    "name", ["BertForSequenceClassification", "Data2VecAudioModel", "Data2VecVisionModel"]
)
def test_a_copy_of_a_driven_model_stands_by_itself(
    name: str, copying: Callable[[nn.Module], nn.Module]
) -> None:
    model = _build(name)
    drop = _drive_all(model)
    twin: Any = copying(model)
    drop.close()
    views = [m.config for m in twin.modules() if hasattr(getattr(m, "config", 0), "_held")]
    assert bool(views) == ("Data2Vec" in name)
    assert all(view.__dict__ is twin.config.__dict__ for view in views)  # of its own config
    assert twin.config is not model.config
    assert find_sites(twin) != find_sites(model)  # with the rates of that moment
    kinds = [[(site.name, site.kind) for site in find_sites(each)] for each in (model, twin)]
    assert kinds[0] == kinds[1]
    other = _drive_all(twin)
    other.close()
    assert all(m.config is twin.config for m in twin.modules() if hasattr(m, "config"))
    assert twin.config.to_dict() == model.config.to_dict()


@pytest.mark.parametrize(
    ("name", "attention"),
    [
        ("BertForSequenceClassification", "sdpa"),
        ("BertForSequenceClassification", "eager"),
        ("Data2VecVisionModel", "sdpa"),
    ],
)
def test_compiled_once_on_once_off(name: str, attention: str) -> None:
    model = _build(name, attn_implementation=attention)
    drop = DropScheduler(model, dropout="early(0.6, until=3st)", clock=Clock(total_steps=8))
    compiled = Compiled(model, backend="eager", fullgraph=False)
    for _ in range(4):
        compiled(**FAMILIES[name][1]())
        drop.step()
    assert compiled.graphs == 2


def test_compiled_code_reads_the_rate_of_a_config() -> None:
    model = _build("ProphetNetModel").encoder
    drop = DropScheduler(
        model, rates={"config.dropout": "early(0.8, until=9st)"}, clock=Clock(total_steps=9)
    )
    hidden = model.config.hidden_size
    seen: list[torch.Tensor] = []
    model.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    compiled = Compiled(model, backend="eager", fullgraph=False)
    for _ in range(3):
        with torch.no_grad():
            compiled(inputs_embeds=torch.ones(64, 12, hidden))
        rate = drop.get_last_rates()["config.dropout"]
        spread = (rate * (1 - rate) / seen[-1].numel()) ** 0.5
        assert abs((seen[-1] == 0).float().mean().item() - rate) <= 5 * spread
        drop.step()


@pytest.fixture
def own_rule() -> Iterator[None]:
    @rule
    def projector(module: nn.Module, path: str) -> Iterator[Found]:
        if type(module).__name__ == "LlamaAttention":
            rate = module.attention_dropout
            yield Found(
                module,
                "attention_dropout",
                "mine",
                float(rate),  # type: ignore[arg-type]
                lambda: PlainFloat(module, "attention_dropout"),
            )

    yield
    USER_RULES.remove(projector)


@pytest.mark.usefixtures("own_rule")
def test_a_rule_of_the_users_own_goes_first() -> None:
    assert {site.kind for site in find_sites(_build("LlamaForCausalLM"))} == {"mine"}
