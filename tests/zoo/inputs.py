"""Inputs of families of transformers that their signatures do not tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_Inputs = Callable[[Any], dict[str, Any]]


def _ones(*shape: int) -> Tensor:
    return torch.ones(*shape, dtype=torch.long)


def _pixels(*shape: int) -> _Inputs:
    return lambda batch: {"pixel_values": batch.normal(*shape)}


def _wave(*shape: int) -> _Inputs:
    return lambda batch: {"input_values": batch.normal(*shape)}


def _tiles(batch: Any) -> dict[str, Any]:
    return _pixels(2, 2, 3, 32, 32)(batch) | {"image_sizes": torch.tensor([[32, 32]] * 2)}


def _gemma4(batch: Any) -> dict[str, Any]:
    places = torch.cartesian_prod(torch.arange(6), torch.arange(6))
    return {
        "input_features": batch.normal(2, 64, 64),
        "input_features_mask": torch.ones(2, 64, dtype=torch.bool),
        "pixel_values": batch.normal(2, 36, 192),
        "image_position_ids": places.expand(2, 36, 2),
    }


def _trajectory(batch: Any) -> dict[str, Any]:
    return {
        "states": batch.normal(2, 4, 17),
        "actions": batch.normal(2, 4, 4),
        "rewards": batch.normal(2, 4, 1),
        "returns_to_go": batch.normal(2, 4, 1),
        "timesteps": torch.arange(4).expand(2, 4),
        "attention_mask": _ones(2, 4),
    }


def _sound(mask: str) -> _Inputs:
    return lambda batch: {"input_features": batch.normal(2, 128, 200), mask: _ones(2, 200)}


INPUTS: dict[str, _Inputs] = {
    "clap": lambda batch: {"input_features": batch.normal(2, 1, 64, 64)},
    "colmodernvbert": _pixels(2, 1, 3, 32, 32),
    "csm": lambda batch: {"input_ids": batch.integers(200, 2, 8, 4), "input_values": None},
    "dac": _wave(2, 1, 512),
    "decision_transformer": _trajectory,
    "depth_pro": _pixels(2, 3, 128, 128),
    "dia": lambda batch: {"decoder_input_ids": batch.integers(90, 2, 8, 9)},
    "efficientloftr": _pixels(1, 2, 3, 64, 64),
    "embedding_gemma2": _gemma4,
    "fastspeech2_conformer": lambda batch: {
        "spectrogram_labels": batch.normal(2, 32, 80),
        "duration_labels": 2 * _ones(2, 16),
        "pitch_labels": batch.normal(2, 16, 1),
        "energy_labels": batch.normal(2, 16, 1),
    },
    "fun_asr_nano": lambda batch: {
        "input_features": batch.normal(2, 32, 560),
        "input_features_mask": _ones(2, 32),
    },
    "fuyu": _pixels(2, 4, 192),
    "gemma3n": lambda batch: {
        "input_features": batch.normal(2, 64, 128),
        "input_features_mask": torch.ones(2, 64, dtype=torch.bool),
    },
    "gemma4": _gemma4,
    "granite_speech5": lambda batch: {"input_features": batch.normal(2, 64, 320)},
    "idefics": lambda batch: {
        "pixel_values": batch.normal(2, 1, 3, 32, 32),
        "image_attention_mask": _ones(2, 16, 1),
    },
    "idefics2": _pixels(2, 1, 3, 32, 32),
    "idefics3": _pixels(2, 1, 3, 32, 32),
    "instructblipvideo": _pixels(2, 2, 3, 32, 32),
    "kimi_k25": _pixels(32, 3, 8, 8),
    "kosmos2": lambda batch: {"image_embeds_position_mask": (torch.arange(16) < 4).expand(2, 16)},
    "kosmos2_5": lambda batch: {
        "flattened_patches": torch.cat([_ones(2, 16, 2), batch.normal(2, 16, 768)], 2),
        "image_embeds_position_mask": (torch.arange(16) < 4).expand(2, 16),
    },
    "kyutai_speech_to_text": lambda batch: {"input_ids": batch.integers(90, 2, 8, 33)},
    "lightglue": _pixels(1, 2, 3, 64, 64),
    "llava_next": _tiles,
    "llava_next_video": _tiles,
    "llava_onevision": _tiles,
    "luke": lambda batch: {
        "entity_ids": batch.integers(90, 2, 4),
        "entity_position_ids": batch.integers(16, 2, 4, 3),
    },
    "lxmert": lambda batch: {
        "visual_feats": batch.normal(2, 4, 64),
        "visual_pos": batch.normal(2, 4, 4),
    },
    "mllama": lambda batch: {
        "pixel_values": batch.normal(2, 1, 1, 3, 32, 32),
        "aspect_ratio_ids": _ones(2, 1),
        "aspect_ratio_mask": _ones(2, 1, 1),
    },
    "modernvbert": _pixels(2, 1, 3, 32, 32),
    "musicgen": lambda batch: {"decoder_input_ids": batch.integers(200, 8, 8)},
    "musicgen_melody": lambda batch: {
        "decoder_input_ids": batch.integers(200, 8, 8),
        "input_features": batch.normal(2, 16, 12),
    },
    "oneformer": lambda batch: {"task_inputs": _ones(2, 77)},
    "paddleocr_vl": _pixels(32, 3, 8, 8),
    "paligemma": lambda batch: {"token_type_ids": torch.zeros(2, 32, dtype=torch.long)},
    "pe_audio": _wave(2, 1, 6400),
    "perceiver": lambda batch: {"inputs": batch.normal(2, 16, 64)},
    "perception_lm": _pixels(2, 1, 3, 32, 32),
    "pix2struct": lambda batch: {
        "input_ids": None,
        "flattened_patches": torch.cat([_ones(2, 16, 2), batch.normal(2, 16, 768)], 2),
    },
    "pop2piano": lambda batch: {"input_ids": None, "input_features": batch.normal(2, 8, 64)},
    "qwen2_5_omni": _sound("feature_attention_mask"),
    "qwen2_audio": lambda batch: {
        "input_ids": torch.tensor([[20, *[batch.config.audio_token_id] * 16, 30]] * 2),
        "attention_mask": _ones(2, 18),
        "feature_attention_mask": _ones(2, 64),
    },
    "qwen3_asr": _sound("input_features_mask"),
    "qwen3_omni_moe": _sound("feature_attention_mask"),
    "sam2": _pixels(2, 3, 128, 128),
    "seggpt": lambda batch: {
        "pixel_values": batch.normal(2, 3, 16, 32),
        "prompt_pixel_values": batch.normal(2, 3, 16, 32),
        "prompt_masks": batch.normal(2, 3, 16, 32),
    },
    "siglip2": lambda batch: {"pixel_attention_mask": _ones(2, 16)},
    "smolvlm": _pixels(2, 1, 3, 32, 32),
    "speech_encoder_decoder": lambda batch: _wave(2, 3200)(batch) | {"input_features": None},
    "speech_to_text": lambda batch: {"input_features": batch.normal(2, 64, 80)},
    "speecht5": lambda batch: {
        "input_values": batch.normal(2, 8, 64),
        "decoder_input_values": batch.normal(2, 8, 64),
    },
    "superglue": _pixels(1, 2, 3, 64, 64),
    "timesfm": lambda batch: {
        "past_values": batch.normal(2, 64),
        "past_values_padding": torch.zeros(2, 64),
        "freq": torch.zeros(2, 1, dtype=torch.long),
    },
    "ultravbert": _pixels(2, 1, 3, 32, 32),
    "univnet": lambda batch: {
        "input_features": batch.normal(2, 16, 100),
        "noise_sequence": batch.normal(2, 16, batch.config.model_in_channels),
    },
    "vibevoice_acoustic_tokenizer": _wave(2, 1, 6400),
    "vibevoice_asr": _wave(2, 1, 6400),
    "video_llama_3": lambda batch: {"image_merge_sizes": torch.tensor([2, 2])},
    "videomt": lambda batch: {"pixel_values_videos": batch.normal(2, 2, 3, 32, 32)},
    "vit_mae": lambda batch: {"noise": batch.normal(2, 16)},
    "voxtral_realtime": lambda batch: {"input_ids": batch.integers(90, 2, 8)},
    "xcodec": _wave(2, 1, 3200),
    "xmod": lambda batch: {"lang_ids": torch.zeros(2, dtype=torch.long)},
}
"""Keywords of one batch; None leaves out one that would be made."""
