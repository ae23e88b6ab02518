"""How small a size in a config of transformers is made, told by the name of its field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

WIDTH, HEADS, LAYERS, EXPERTS, VOCABULARY, IMAGE, PATCH = 64, 4, 2, 4, 256, 32, 8
IMAGE_TOKEN, AUDIO_TOKEN = 250, 251

FIXED: dict[str, Any] = {
    "use_cache": False,
    "apply_spec_augment": False,  # masks inputs at random
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "router_jitter_noise": 0.0,
    "pos_embed_rescale": None,  # moves positions at random
    "head_dim": WIDTH // HEADS,
    "rotary_dim": 8,
    "max_source_positions": 32,
    "num_kv_shared_layers": 0,
    "num_queries": 8,
    "num_query_tokens": 4,
    "two_stage_num_proposals": 8,
    "mm_tokens_per_image": 4,
    "upsample_groups": WIDTH,
    "architecture": "test_vit",  # timm's smallest
}
"""Fields that are set whatever they were."""

_LIMITS: tuple[tuple[str, int | None], ...] = (
    (r"^patch_size$", PATCH),
    (r"experts$|num_experts|expert_num", EXPERTS),
    (r"n_group$|topk_group", 1),
    (r"per_tok|topk|top_k|moe_k$", 2),
    (r"head_dim|d_kv|d_head|kv_channels|head_size|dim_head", WIDTH // HEADS),
    (r"position|max_seq|n_ctx|max_len", 128),
    (
        r"kernel|window|chunk|crop|block_size|codebook|merge|loss|stride|bucket|roi|group|pool|max_"
        r"|shape_size|coordinate_size|pretrain|^mem_|expand|patch|cache|batch|down|mask_size|grid"
        r"|visual_pos|num_(input_)?channels|act_dim|state_dim|mel|freq_size|parallel|feature_size$"
        r"|mask_input|temperature|input_feat|audio_channels|query_dim|ngram|divisible",
        None,
    ),
    (
        r"(^|_)(sizes?|dims?|channels?|width|embd|d_model|d_ff|ff|rank|lowrank|filters|units"
        r"|features|feedforward|ffn)(_|$)|size_mlp|latent|share_expert_dim",
        WIDTH,
    ),
)
"""The first pattern that a name contains tells the most its number may be; None leaves it."""

_HEADS = re.compile(r"heads?$|^n_head|mamba_n_heads|attention_heads")
_LAYERS = re.compile(r"(^|_)(layers?|depths?|blocks|repeats)($|_)")
_NO_LAYERS = re.compile(
    r"num_encoder_blocks|_id|_type|_replace|index|indices|freq|period|offset|attn_layers|_step|norm"
    r"|max_depth|min_depth|feature_layer|_scale|divi|_dim|_size|every|separable|look_"
)
_INDICES = re.compile(
    r"(indexes|indices|out_features|extract_layers|_layer_index|feature_layers?)$"
)
_TOKEN = re.compile(r"_(token|bos|eos|pad|boi|eoi)?_?(id|ids|index|idx)$")
_IMAGES = ("image_size", "img_size", "spec_size", "pretrain_image_size", "max_image_size")


def small(name: str, default: Any, config: Mapping[str, Any], tokens: dict[int, int]) -> Any:
    """A small value for a field; ``default`` itself where it may stay.

    Args:
        name: of the field.
        default: what the field is by default.
        config: the defaults of all fields of the config.
        tokens: where special tokens of a large vocabulary have gone to; filled.
    """
    if name in FIXED:
        return FIXED[name]
    if default is None and re.fullmatch(r"(image|audio)_token_(id|index)", name):
        return IMAGE_TOKEN if name.startswith("image") else AUDIO_TOKEN
    if name == "window_size" and "depths" in config:
        return 2
    if "drop" in name or isinstance(default, bool):
        return default
    if isinstance(default, int):
        return _number(name, default, config, tokens)
    if not isinstance(default, (list, tuple)):
        return default
    if _INDICES.search(name):
        return _indices(name, default, config)
    return type(default)(small(name, value, config, tokens) for value in default)


def _number(name: str, default: int, config: Mapping[str, Any], tokens: dict[int, int]) -> int:
    if "vocab" in name:
        return min(default, VOCABULARY)
    if _TOKEN.search(name):
        if default < VOCABULARY // 2:
            return default
        return tokens.setdefault(default, VOCABULARY - 1 - len(tokens))
    if _HEADS.search(name) and "dim" not in name:
        return _heads(name, default, config)
    if _INDICES.search(name):
        return min(default, 1)
    if _LAYERS.search(name) and not _NO_LAYERS.search(name):
        return min(default, layers(config))
    if name in _IMAGES:
        stages = (config.get(key) for key in ("depths", "depth", "hidden_sizes", "num_heads"))
        return min(default, 2 * IMAGE if any(isinstance(s, tuple) for s in stages) else IMAGE)
    if name == "embed_dim" and "depths" in config:
        return min(default, WIDTH // 2)
    limit = next((limit for pattern, limit in _LIMITS if re.search(pattern, name)), None)
    return default if limit is None else min(default, limit)


def _heads(name: str, default: int, config: Mapping[str, Any]) -> int:
    """4 heads, or 2 of keys and values where they are fewer than those of queries."""
    queries = config.get("num_attention_heads")
    if re.search("key_value|kv", name) and isinstance(queries, int) and 1 < default < queries:
        return HEADS // 2
    return min(HEADS, 1 << (default.bit_length() - 1)) if default > 0 else default


def layers(config: Mapping[str, Any]) -> int:
    """2 layers, or as many as a list of some of them has."""
    lists = [len(v) for k, v in config.items() if _INDICES.search(k) and _named(v)]
    return max(LAYERS, *lists, 0)


def _indices(name: str, default: Any, config: Mapping[str, Any]) -> Any:
    """As many of the first layers as were listed, if those that were listed are no more."""
    if "num_hidden_layers" not in config or "depths" in config or not _named(default):
        return default
    numbers = [v if isinstance(v, int) else int(re.sub("[a-z]+", "", v) or 0) for v in default]
    stages = isinstance(default[0], str)
    if max(numbers) < layers(config) + stages:
        return default
    if stages:
        return type(default)(f"stage{number + 1}" for number in range(len(default)))
    start = int(name == "out_indices")  # where number 0 is the stem
    return type(default)(range(start, start + len(default)))


def _named(value: Any) -> bool:
    """Whether a value lists layers, by number or as stages."""
    return (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(isinstance(v, int) or re.fullmatch(r"stage\d+|stem", str(v)) for v in value)
    )
