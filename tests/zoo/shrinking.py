"""Small configs of transformers, made from the names and defaults of a config's own fields."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

RAISED = 0.2
WIDTH, HEADS, LAYERS, VOCABULARY, IMAGE = 64, 4, 2, 256, 32

_SIZES = re.compile(
    r"(^|_)(size|sizes|dim|dims|channel|channels|width|embd|d_model|d_ff|d_kv|ff|rank|lowrank|filters|units"
    r"|features|feedforward|ffn)(_|$)|kv_channels|d_head|head_dim|size_mlp|latent|share_expert_dim"
)
_NOT_SIZES = re.compile(
    r"kernel|window|chunk|crop|block_size|codebook|merge|buffer|loss|stride|bucket|roi|group|pool"
    r"|shape_size|coordinate_size|max_|pretrain|^mem_|expand|patch|cache|batch|down|mask_size"
    r"|visual_pos|grid|num_(input_)?channels|act_dim|state_dim|mel|freq_size|parallel|feature_size$"
    r"|mask_input_channels|temperature|input_feat|audio_channels|query_dim|ngram|divisible"
)
_LAYERS = re.compile(r"(^|_)(layers|layer|depth|depths|blocks|blocks|repeats)($|_)")
_NOT_LAYERS = re.compile(
    r"(num_encoder_blocks|_id|_type|_types|_replace|index|indices|freq|period|offset|attn_layers|_step|max_depth"
    r"|min_depth|anything|norm|feature_layer|_scale|divi|_dim|_size|every|separable|drop|look_)"
)
_INDICES = re.compile(r"(indexes|indices|out_features|extract_layers|_layer_index|feature_layers?)$")
_TOKENS = re.compile(r"_(token|bos|eos|pad|boi|eoi)?_?(id|ids|index|idx)$")


def shrink(config_class: type, rate: float, changes: Mapping[str, Any]) -> Any:
    """A small config of a class with all its drop rates at ``rate``.

    Fields are told by their names: widths become 64, heads 4, layers 2, a vocabulary 256 and an
    image 32 pixels; sub-configs likewise. ``changes`` go last; a dotted name is a sub-config's.
    """
    config = config_class(**fields(config_class, rate, changes, {}))
    for name, default in _rates(config_class, _defaults(config_class)):
        if _whole(config_class, name) and name not in changes:
            vars(config)[name] = _raised(default, rate)
    return config


def fields(
    config_class: type, rate: float, changes: Mapping[str, Any], tokens: dict[int, int],
    given: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The arguments of a small config."""
    defaults = {**_defaults(config_class), **(given or {})}
    small = dict(given or {}) | {
        name: value
        for name, default in defaults.items()
        if (value := _small(name, default, defaults, tokens)) is not default
    }
    small |= {
        name: _raised(default, rate)
        for name, default in _rates(config_class, defaults)
        if not _whole(config_class, name)
    }
    small |= _hybrid(config_class, defaults, small) | _rope(config_class, defaults)
    for name, spec in config_class.sub_configs_defaults.items():
        if name in changes:
            continue
        sub, inner = spec.config_class, dict(_under(changes, name))
        model_type = inner.pop("model_type", None) or spec.model_type
        if not hasattr(sub, "model_type") or model_type != spec.model_type:
            sub = spec.get_config_class(model_type)
        known = spec.init_kwargs if model_type == spec.model_type else {}
        small[name] = fields(sub, rate, inner, tokens, known) | {"model_type": sub.model_type}
    small |= {name: value for name, value in changes.items() if "." not in name}
    return {
        name: {k: rate if "drop" in str(k) else v for k, v in value.items()}
        if isinstance(changes.get(name), dict)
        else value
        for name, value in small.items()
    }


def _under(changes: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {k.removeprefix(f"{name}."): v for k, v in changes.items() if k.startswith(f"{name}.")}


def _defaults(config_class: type) -> dict[str, Any]:
    """Own fields and what they are by default."""
    from transformers import PreTrainedConfig

    common = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    found = {}
    for field in dataclasses.fields(config_class):
        if field.name in common or field.name in config_class.sub_configs_defaults:
            continue
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def _rates(config_class: type, defaults: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every field that is a drop rate, or a rate for each layer."""
    for field in dataclasses.fields(config_class):
        default = defaults.get(field.name)
        if "drop" not in field.name or isinstance(default, (bool, str)):
            continue
        if default is None and "float" not in str(field.type):
            continue
        yield field.name, default


def _whole(config_class: Any, name: str) -> bool:
    """A rate that its config declares a whole number, so that no rate passes its check."""
    return config_class.__dataclass_fields__[name].type in (int, "int")


def _raised(default: Any, rate: float) -> Any:
    return type(default)(rate for _ in default) if isinstance(default, (list, tuple)) else rate


def _small(name: str, default: Any, defaults: Mapping[str, Any], tokens: dict[int, int]) -> Any:
    if name in _FIXED:
        return _FIXED[name]
    if default is None and re.fullmatch(r"(image|audio)_token_(id|index)", name):
        return 250 if name.startswith("image") else 251
    if name == "head_dim":
        return WIDTH // HEADS
    if name == "window_size" and "depths" in defaults:
        return 2
    if isinstance(default, bool) or default is None or "drop" in name:
        return default
    if isinstance(default, int):
        return _small_number(name, default, defaults, tokens)
    if isinstance(default, (list, tuple)) and default and not isinstance(default[0], float):
        if _INDICES.search(name):
            return _indices(name, default, defaults)
        if isinstance(default[0], str):
            return default
        values = [
            _small(name, value, defaults | {"": default}, tokens)
            for value in default
        ]
        return type(default)(values)
    return default


def _small_number(
    name: str, default: int, defaults: Mapping[str, Any], tokens: dict[int, int]
) -> int:
    if "vocab" in name:
        return min(default, VOCABULARY)
    if _TOKENS.search(name) and default >= 128:
        return tokens.setdefault(default, VOCABULARY - 1 - len(tokens))
    if _TOKENS.search(name):
        return default
    if re.search(r"heads?$|^n_head|mamba_n_heads|attention_heads", name) and "dim" not in name:
        return _small_heads(name, default, defaults)
    if _INDICES.search(name):
        return min(default, 1)
    if _LAYERS.search(name) and not _NOT_LAYERS.search(name):
        return min(default, _layers(defaults))
    if name in ("image_size", "img_size", "spec_size", "pretrain_image_size", "max_image_size"):
        hierarchical = any(isinstance(defaults.get(k), tuple) for k in ("depths", "depth", "hidden_sizes", "num_heads"))
        return min(default, 2 * IMAGE if hierarchical else IMAGE)
    if name == "patch_size":
        return min(default, 8)
    if re.search("experts?$|num_experts|expert_num", name) and "per" not in name:
        return min(default, 4)
    if re.search("per_tok|topk|top_k", name):
        return min(default, 2)
    if re.search("head_dim|d_kv|d_head|kv_channels|head_size|dim_head", name):
        return min(default, WIDTH // HEADS)
    if re.search("position|max_seq|n_ctx|max_len", name) and default > 128:
        return 128
    if _SIZES.search(name) and not _NOT_SIZES.search(name):
        small = WIDTH // 2 if name == "embed_dim" and "depths" in defaults else WIDTH
        return min(default, small)
    return default


def _small_heads(name: str, default: int, defaults: Mapping[str, Any]) -> int:
    """4 heads, or 2 of keys and values where they are fewer than those of queries."""
    queries = defaults.get("num_attention_heads")
    if re.search("key_value|kv", name) and isinstance(queries, int) and 1 < default < queries:
        return HEADS // 2
    return min(HEADS, 1 << (default.bit_length() - 1)) if default > 0 else default


def _indices(name: str, default: Any, defaults: Mapping[str, Any]) -> Any:
    """As many of the first layers as were named, if those that were named are no more."""
    stages = isinstance(default[0], str)
    if "num_hidden_layers" not in defaults or "depths" in defaults or not _is_layers(default):
        return default
    numbers = [int(re.sub("[a-z]+", "", v) or 0) if stages else v for v in default]
    if max(numbers) < _layers(defaults) + stages:
        return default
    if stages:
        return type(default)([f"stage{i + 1}" for i in range(len(default))])
    start = int(name == "out_indices")  # number 0 is the stem
    return type(default)(range(start, start + len(default)))


def _is_layers(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(
        isinstance(v, int) or re.fullmatch(r"stage\d+|stem", v) for v in value
    )


def _layers(defaults: Mapping[str, Any]) -> int:
    """As many layers as a list of indices into them has."""
    lists = [len(v) for k, v in defaults.items() if _INDICES.search(k) and _is_layers(v)]
    return max(LAYERS, *lists, 0)


def _hybrid(
    config_class: Any, defaults: Mapping[str, Any], small: Mapping[str, Any]
) -> dict[str, Any]:
    """Lists of a type for each layer: each type once."""
    if "num_hidden_layers" not in defaults:
        return {}
    try:
        usual = config_class()
    except Exception:  # a config without defaults has no types to show
        return {}
    types = {
        name: list(dict.fromkeys(found))
        for name in ("layer_types", "mlp_layer_types", "layers_block_type")
        if name in defaults and isinstance(found := getattr(usual, name, None), list)
    }
    layers = max([small.get("num_hidden_layers", LAYERS), *map(len, types.values())])
    if not types:
        return {}
    filled = {name: [*values, *values[-1:] * layers][:layers] for name, values in types.items()}
    return filled | {"num_hidden_layers": layers}


def _rope(config_class: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Sections of a rotary embedding of time, height and width that fill a small head."""
    keys = getattr(config_class, "ignore_keys_at_rope_validation", None) or ()
    if "mrope_section" not in keys or "rope_parameters" not in defaults:
        return {}
    given = defaults["rope_parameters"] or {"rope_type": "default", "rope_theta": 10000.0}
    part = given.get("partial_rotary_factor", 1.0)
    section = {1.0: [2, 3, 3], 0.5: [2, 1, 1], 0.25: [1, 1, 0]}[part]
    return {"rope_parameters": {**given, "mrope_section": section}}


_FIXED: dict[str, Any] = {
    "use_cache": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "apply_spec_augment": False,
    "router_jitter_noise": 0.0,
    "router_z_loss_coef": 0.0,
    "use_mamba_kernels": False,
    "max_source_positions": 32,
    "num_kv_shared_layers": 0,
    "rotary_dim": 8,
    "mm_tokens_per_image": 4,
    "architecture": "test_vit",
    "num_queries": 8,
    "num_query_tokens": 4,
    "two_stage_num_proposals": 8,
    "upsample_groups": WIDTH,
}
