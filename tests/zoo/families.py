"""What the generic way does not reach: changes by family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

MODELS: dict[str, tuple[str, str]] = {
    "bark": ("BarkSemanticConfig", "BarkSemanticModel"),
    "qwen2_5_omni": ("Qwen2_5OmniThinkerConfig", "Qwen2_5OmniThinkerForConditionalGeneration"),
    "qwen3_omni_moe": ("Qwen3OmniMoeThinkerConfig", "Qwen3OmniMoeThinkerForConditionalGeneration"),
    "musicgen": ("MusicgenConfig", "MusicgenForConditionalGeneration"),
    "musicgen_melody": ("MusicgenMelodyConfig", "MusicgenMelodyForConditionalGeneration"),
}

_SERIES = {"prediction_length": 4, "context_length": 8, "lags_sequence": [1, 2], "num_time_features": 1}
_CODEC = {"num_filters": 16, "upsample_groups": 64}

_VIBE = {"num_filters": 2, "depths": [1] * 7}
_SAM2 = {
    "vision_config.backbone_config.hidden_size": 16,
    "vision_config.backbone_config.image_size": [128, 128],
    "vision_config.backbone_config.blocks_per_stage": [1, 1, 2, 1],
    "vision_config.backbone_config.embed_dim_per_stage": [16, 32, 48, 64],
    "vision_config.backbone_config.num_attention_heads_per_stage": [1, 2, 4, 4],
    "vision_config.backbone_config.window_size_per_stage": [8, 4, 4, 2],
    "vision_config.backbone_config.global_attention_blocks": [3],
    "vision_config.backbone_channel_list": [64, 48, 32, 16],
    "vision_config.backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
    "prompt_encoder_config.image_size": 128,
    "prompt_encoder_config.patch_size": 16,
}

CHANGES: dict[str, dict[str, Any]] = {
    "autoformer": _SERIES | {"label_length": 2},
    "informer": _SERIES,
    "time_series_transformer": _SERIES,
    "bit": {"hidden_sizes": [32, 64, 64, 64], "num_groups": 4, "embedding_size": 32},
    "blip_2": {"image_token_id": 250, "num_query_tokens": 4, "image_token_index": 250},
    "instructblip": {"image_token_index": 250, "num_query_tokens": 4},
    "instructblipvideo": {"video_token_index": 250, "num_query_tokens": 4},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "diffllama": {"attention_dropout": 0.0},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "first_k_dense_replace": 1},
    "esm": {"vocab_size": 33, "pad_token_id": 1, "mask_token_id": 32},
    "nemotron": {"num_key_value_heads": 2},
    "layoutlmv3": {"coordinate_size": 12, "shape_size": 8, "input_size": 32},
    "lilt": {"hidden_size": 96},
    "efficientnet": {"hidden_dim": 1280, "width_coefficient": 1.0, "depth_coefficient": 1.0},
    "align": {
        "vision_config.hidden_dim": 64, "vision_config.width_coefficient": 1.0,
        "vision_config.depth_coefficient": 1.0,
    },
    "dac": {"encoder_hidden_size": 16, "decoder_hidden_size": 64, "downsampling_ratios": [2, 2]},
    "mimi": {"upsample_groups": 64, "num_filters": 8, "num_quantizers": 4, "codebook_size": 64},
    "encodec": {"num_filters": 8, "codebook_size": 64},
    "sam": {"vision_config.output_channels": 64, "vision_config.num_pos_feats": 32, "vision_config.window_size": 2, "vision_config.global_attn_indexes": [1]},
    "sam_hq": {"vision_config.output_channels": 64, "vision_config.num_pos_feats": 32, "vision_config.window_size": 2, "vision_config.global_attn_indexes": [1]},
    "clap": {"audio_config.patch_embeds_hidden_size": 16, "audio_config.hidden_size": 128, "audio_config.spec_size": 128, "audio_config.num_mel_bins": 64, "audio_config.window_size": 2},
    "diffusion_gemma": {"text_config.num_experts": 4, "text_config.top_k_experts": 2, "text_config.moe_intermediate_size": 32},
    "gemma3n": {"vision_soft_tokens_per_image": 17, "image_token_id": 210, "audio_soft_tokens_per_image": 4, "audio_token_id": 240, "vision_config.vocab_offset": 200, "vision_config.vocab_size": 28, "audio_config.vocab_offset": 228, "audio_config.vocab_size": 28,"text_config.vocab_size_per_layer_input": 256, "text_config.intermediate_size": 64, "text_config.num_hidden_layers": 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "llama4": {"vision_config.vision_output_dim": 64, "vision_config.intermediate_size": 256},
    "molmo2": {"adapter_config.vision_feature_layer": [1, 0]},
    "mllama": {
        "vision_config.intermediate_layers_indices": [0, 1], "vision_config.num_global_layers": 2,
        "text_config.cross_attention_layers": [1], "vision_config.vision_output_dim": 192,
        "vision_config.supported_aspect_ratios": [[1, 1]], "vision_config.max_num_tiles": 1,
    },
    **dict.fromkeys(
        ("llava_next", "llava_next_video", "llava_onevision"), {"image_grid_pinpoints": [[32, 32]]}
    ),
    "vipllava": {"vision_feature_layers": [-1, -2]},
    "kosmos2": {"latent_query_num": 4},
    "superglue": {"keypoint_detector_config.keypoint_decoder_dim": 65},
    "lightglue": {"keypoint_detector_config.keypoint_decoder_dim": 65},
    "dinov3_convnext": {"hidden_sizes": [32, 32, 64, 64], "depths": [1, 1, 1, 1]},
    "ernie4_5_vl_moe": {
        "text_config.moe_num_experts": 4, "text_config.moe_k": 2, "text_config.moe_intermediate_size": [32, 32], "text_config.head_dim": 16, "text_config.rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [3, 3, 2]},
    },
    **{
        family: {f"{part}{name}": value for part in parts for name, value in _VIBE.items()}
        for family, parts in {
            "vibevoice_acoustic_tokenizer": [""],
            "vibevoice_asr": ["acoustic_tokenizer_encoder_config.", "semantic_tokenizer_encoder_config."],
        }.items()
    },
    "neucodec": {"encoder_hidden_size": 4},
    "xcodec2": {"encoder_hidden_size": 4},
    "pe_audio": {"audio_config.dac_config.encoder_hidden_size": 4},
    "pe_audio_video": {"audio_video_config.audio_config.dac_config.encoder_hidden_size": 4},
    "glm4v_moe": {"text_config.rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5, "mrope_section": [2, 1, 1]}},
    "csm": {"codec_config.num_filters": 8, "num_codebooks": 4, "depth_decoder_config.num_codebooks": 4},
    "chameleon": {
        "vocabulary_map": {"<image>": 250, **{f"IMGIMG{c}Z": 200 + i for i, c in enumerate("ABCDEFGH")}},
        "vq_config.num_embeddings": 8, "vq_config.base_channels": 32,
    },
    "qwen2_5_omni": {"audio_config.max_source_positions": 100},
    "aria": {"projector_patch_to_query_dict": {16: 4}},
    "paddleocr_vl": {"text_config.rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}},
    "tvp": {"max_grid_row_position_embeddings": 8, "max_grid_col_position_embeddings": 8, "hidden_size": 64, "max_img_size": 64, "visual_prompt_size": 8, "num_frames": 2},
    "uvdoc": {"backbone_config.resnet_head": [[3, 32], [32, 32]], "resnet_head": [[3, 32], [32, 32]]},
    "step3p7": {"text_config.sliding_window": 8},
    "emu3": {"vq_config.base_channels": 32, "vq_config.hidden_size": 128, "vocabulary_map": {"<image>": 250, "<|extra_200|>": 249, **{f"<|visual token {i:06}|>": 100 + i for i in range(64)}}, "vq_config.codebook_size": 64, "image_token_id": 250},
    "moonshine_streaming": {"num_key_value_heads": 4},
    "fun_asr_nano": {"adaptor_config.intermediate_size": 16},
    "efficientloftr": {"stage_num_blocks": [1, 1, 1, 1], "out_features": [16, 32, 32, 64], "hidden_size": 64},
    "dbrx": {"attn_config": {"rope_theta": 10000.0, "kv_n_heads": 2, "attn_pdrop": 0.0, "clip_qkv": 8}},
    "mobilevitv2": {"image_size": 128},
    "fast_vlm": {"vision_config.architecture": "test_convnext", "vision_config.model_args": None},
    "perception_lm": {"vision_config.model_args": {"embed_dim": 64}},
    "glm5_next": {"text_config.index_kpool": 2, "index_kpool": 2},
    "sam2": _SAM2,
    "sam2_video": _SAM2,
    "vitmatte": {"backbone_config.patch_size": 16, "backbone_config.image_size": 64, "fusion_hidden_sizes": [64, 64, 32, 32]},
    "seggpt": {"merge_index": 0, "intermediate_hidden_state_indices": [1, 2, 3, 4], "num_hidden_layers": 5},
    "timm_backbone": {"backbone": "test_resnet"},
    "zoedepth": {"backbone_config.num_hidden_layers": 4},
    "reformer": {"axial_pos_shape": [4, 4], "axial_pos_embds_dim": [32, 32]},
    "mamba2": {"num_heads": 4, "head_dim": 32, "n_groups": 1},
    "nemotron_h": {"n_groups": 2},
    "zamba": {"num_hidden_layers": 3, "layers_block_type": ["linear_attention", "hybrid", "hybrid"]},
    "levit": {"patch_size": 16},
    "shieldgemma2": {"yes_token_index": 10, "no_token_index": 11},
    "clvp": {"text_config.num_attention_heads": 2, "speech_config.num_attention_heads": 2},
    "depth_pro": {
        "intermediate_hook_ids": [1, 0],
        "patch_size": 32,
        **{f"{part}_model_config.{name}": size for part in ("image", "patch", "fov") for name, size in (("image_size", 32), ("patch_size", 8))},
    },
    "cohere_compass": {"text_config.rope_parameters": None},
    "led": {"max_encoder_position_embeddings": 1024},
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]]},
    "superpoint": {"keypoint_decoder_dim": 65},
    "vjepa2": {"crop_size": 32, "frames_per_clip": 2},
    "cvt": {"depth": [1, 2, 3]},
    "lw_detr": {"backbone_config.image_size": 64, "backbone_config.num_windows": 4, "backbone_config.patch_size": 8},
}
UNBUILT: dict[str, str] = {
    "dinat": "needs the package natten",
    "higgs_audio_v2_tokenizer": "needs the package torchaudio",
    "layoutlmv2": "needs the package detectron2",
    "rag": "composite: its parts are configs of other families, and it retrieves from an index",
}

def _one_image(batch: Any) -> dict[str, Any]:
    """Images as [batch, images, channels, height, width]."""
    return {"pixel_values": batch.normal(2, 1, 3, 32, 32)}


def _tiles(batch: Any) -> dict[str, Any]:
    """Images cut into tiles, with the sizes they had."""
    return {"pixel_values": batch.normal(2, 2, 3, 32, 32), "image_sizes": torch.tensor([[32, 32]] * 2)}


INPUTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    **dict.fromkeys(
        ("idefics2", "idefics3", "smolvlm", "modernvbert", "ultravbert", "colmodernvbert"),
        _one_image,
    ),
    **dict.fromkeys(("llava_next", "llava_next_video", "llava_onevision"), _tiles),
    **dict.fromkeys(
        ("lightglue", "superglue", "efficientloftr"),
        lambda batch: {"pixel_values": batch.normal(1, 2, 3, 64, 64)},
    ),
    "mllama": lambda batch: {
        "pixel_values": batch.normal(2, 1, 1, 3, 32, 32),
        "aspect_ratio_ids": torch.ones(2, 1, dtype=torch.long),
        "aspect_ratio_mask": torch.ones(2, 1, 1, dtype=torch.long),
    },
    "paligemma": lambda batch: {"token_type_ids": torch.zeros(2, 32, dtype=torch.long)},
    "lxmert": lambda batch: {"visual_feats": batch.normal(2, 4, 64), "visual_pos": batch.normal(2, 4, 4)},
    "decision_transformer": lambda batch: {
        "states": batch.normal(2, 4, 17),
        "actions": batch.normal(2, 4, 4),
        "rewards": batch.normal(2, 4, 1),
        "returns_to_go": batch.normal(2, 4, 1),
        "timesteps": torch.arange(4).expand(2, 4),
        "attention_mask": torch.ones(2, 4),
    },
    "speecht5": lambda batch: {
        "input_values": batch.normal(2, 8, 64), "decoder_input_values": batch.normal(2, 8, 64)
    },
    "timesfm": lambda batch: {
        "past_values": batch.normal(2, 64),
        "past_values_padding": torch.zeros(2, 64),
        "freq": torch.zeros(2, 1, dtype=torch.long),
    },
    "perceiver": lambda batch: {"inputs": batch.normal(2, 16, 64)},
    "pop2piano": lambda batch: {"input_ids": None, "input_features": batch.normal(2, 8, 64)},
    "dia": lambda batch: {"decoder_input_ids": torch.randint(3, 90, (2, 8, 9), generator=batch.generator)},
    "kyutai_speech_to_text": lambda batch: {"input_ids": torch.randint(3, 90, (2, 8, 33), generator=batch.generator)},
    "pix2struct": lambda batch: {"input_ids": None, "flattened_patches": torch.cat([torch.ones(2, 16, 2), batch.normal(2, 16, 768)], 2)},
    "kosmos2": lambda batch: {"image_embeds_position_mask": (torch.arange(16) < 4).expand(2, 16)},
    "clap": lambda batch: {"input_features": batch.normal(2, 1, 64, 64)},
    **dict.fromkeys(("dac", "pe_audio", "vibevoice_acoustic_tokenizer", "vibevoice_asr"), lambda batch: {"input_values": batch.normal(2, 1, 6400)}),
    "idefics": lambda batch: _one_image(batch) | {"image_attention_mask": torch.ones(2, 16, 1, dtype=torch.long)},
    "fuyu": lambda batch: {"pixel_values": batch.normal(2, 4, 192)},
    "sam2": lambda batch: {"pixel_values": batch.normal(2, 3, 128, 128)},
    "fun_asr_nano": lambda batch: {"input_features": batch.normal(2, 32, 560), "input_features_mask": torch.ones(2, 32, dtype=torch.long)},
    "muse_glimmer": lambda batch: {"pixel_values": batch.normal(32, 384)},
    "siglip2": lambda batch: {"pixel_attention_mask": torch.ones(2, 16, dtype=torch.long)},
    "jev": lambda batch: {"marks": torch.ones(2, 4), "num_options": 2, "question_type_ids": torch.zeros(2, dtype=torch.long)},
    **dict.fromkeys(("paddleocr_vl", "kimi_k25"), lambda batch: {"pixel_values": batch.normal(32, 3, 8, 8)}),
    "video_llama_3": lambda batch: {"image_merge_sizes": torch.tensor([2, 2])},
    "csm": lambda batch: {"input_ids": torch.arange(20, 84).reshape(2, 8, 4), "input_values": None},
    "xmod": lambda batch: {"lang_ids": torch.zeros(2, dtype=torch.long)},
    "videomt": lambda batch: {"pixel_values_videos": batch.normal(2, 2, 3, 32, 32)},
    "tvp": lambda batch: {"pixel_values": batch.normal(2, 2, 3, 64, 64)},
    "granite_speech5": lambda batch: {"input_features": batch.normal(2, 64, 320)},
    "perception_lm": _one_image,
    "gemma3n": lambda batch: {
        "input_features": batch.normal(2, 64, 128),
        "input_features_mask": torch.ones(2, 64, dtype=torch.bool),
    },
    "depth_pro": lambda batch: {"pixel_values": batch.normal(2, 3, 128, 128)},
    "voxtral_realtime": lambda batch: {"input_ids": torch.arange(20, 36).reshape(2, 8)},
    **dict.fromkeys(("musicgen", "musicgen_melody"), lambda batch: {"decoder_input_ids": torch.arange(20, 84).reshape(8, 8)}),
    **dict.fromkeys(("qwen3_asr",), lambda batch: {
        "input_features": batch.normal(2, 128, 200), "input_features_mask": torch.ones(2, 200, dtype=torch.long),
    }),
    **dict.fromkeys(("qwen2_5_omni", "qwen3_omni_moe"), lambda batch: {
        "input_features": batch.normal(2, 128, 200), "feature_attention_mask": torch.ones(2, 200, dtype=torch.long),
    }),
    **dict.fromkeys(("gemma4", "embedding_gemma2"), lambda batch: {
        "input_features": batch.normal(2, 64, 64),
        "input_features_mask": torch.ones(2, 64, dtype=torch.bool),
        "pixel_values": batch.normal(2, 36, 192),
        "image_position_ids": torch.cartesian_prod(torch.arange(6), torch.arange(6)).expand(2, 36, 2),
    }),
    "qwen2_audio": lambda batch: {
        "input_ids": torch.tensor([[20, *[batch.config.audio_token_id] * 16, 30]] * 2),
        "attention_mask": torch.ones(2, 18, dtype=torch.long), "feature_attention_mask": torch.ones(2, 64, dtype=torch.long)},
    "seggpt": lambda batch: {name: batch.normal(2, 3, 16, 32) for name in ("pixel_values", "prompt_pixel_values", "prompt_masks")},
    "speech_encoder_decoder": lambda batch: {"input_features": None, "input_values": batch.normal(2, 3200)},
    "xcodec": lambda batch: {"input_values": batch.normal(2, 1, 3200)},
    "oneformer": lambda batch: {"task_inputs": torch.ones(2, 77, dtype=torch.long)},
}
