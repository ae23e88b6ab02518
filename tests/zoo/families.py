"""Families of transformers that the names of fields alone do not reach: what each needs.

A dotted name is the field of a sub-config. Rates in dictionaries are raised like all others.
"""

from __future__ import annotations

from typing import Any

MODELS: dict[str, tuple[str, str]] = {
    "bark": ("BarkSemanticConfig", "BarkSemanticModel"),
    "musicgen": ("MusicgenConfig", "MusicgenForConditionalGeneration"),
    "musicgen_melody": ("MusicgenMelodyConfig", "MusicgenMelodyForConditionalGeneration"),
    "qwen2_5_omni": ("Qwen2_5OmniThinkerConfig", "Qwen2_5OmniThinkerForConditionalGeneration"),
    "qwen3_omni_moe": ("Qwen3OmniMoeThinkerConfig", "Qwen3OmniMoeThinkerForConditionalGeneration"),
}
"""Config and model class where the base model has no forward or leaves most of the family out."""


def _inside(part: str, **fields: Any) -> dict[str, Any]:
    """Fields of a sub-config."""
    return {f"{part}.{name}": value for name, value in fields.items()}


def _rope(*sections: int, **more: Any) -> dict[str, Any]:
    """Parameters of a rotary embedding in sections."""
    return {"rope_type": "default", "rope_theta": 1e4, "mrope_section": list(sections), **more}


_SERIES = {
    "prediction_length": 4,
    "context_length": 8,
    "lags_sequence": [1, 2],
    "num_time_features": 1,
}
_TILES = {"image_grid_pinpoints": [[32, 32]]}
_SAM = _inside(
    "vision_config", output_channels=64, num_pos_feats=32, window_size=2, global_attn_indexes=[1]
)
_SAM2 = {
    **_inside(
        "vision_config.backbone_config",
        hidden_size=16,
        image_size=[128, 128],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[16, 32, 48, 64],
        num_attention_heads_per_stage=[1, 2, 4, 4],
        window_size_per_stage=[8, 4, 4, 2],
        global_attention_blocks=[3],
    ),
    "vision_config.backbone_channel_list": [64, 48, 32, 16],
    "vision_config.backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
    **_inside("prompt_encoder_config", image_size=128, patch_size=16),
}
_TOKENIZER = {"num_filters": 2, "depths": [1] * 7, "vae_std": 0.0}

CHANGES: dict[str, dict[str, Any]] = {
    "align": _inside("vision_config", hidden_dim=64, width_coefficient=1.0, depth_coefficient=1.0),
    "aria": {"projector_patch_to_query_dict": {16: 4}},
    "autoformer": _SERIES | {"label_length": 2},
    "bit": {"hidden_sizes": [32, 64, 64, 64], "num_groups": 4, "embedding_size": 32},
    "chameleon": {
        "vocabulary_map": {"<image>": 250, **{f"IMGIMG{c}Z": ord(c) for c in "ABCDEFGH"}},
        **_inside("vq_config", num_embeddings=8, base_channels=32),
    },
    "clap": _inside(
        "audio_config",
        patch_embeds_hidden_size=16,
        hidden_size=128,
        spec_size=128,
        num_mel_bins=64,
        window_size=2,
    ),
    "clvp": {"text_config.num_attention_heads": 2, "speech_config.num_attention_heads": 2},
    "cohere_compass": {"text_config.rope_parameters": None},
    "csm": {"num_codebooks": 4, "codec_config.num_filters": 8}
    | _inside("depth_decoder_config", num_codebooks=4),
    "cvt": {"depth": [1, 2, 3]},
    "dac": {"encoder_hidden_size": 16, "decoder_hidden_size": 64, "downsampling_ratios": [2, 2]},
    "dbrx": {"attn_config": {"rope_theta": 1e4, "kv_n_heads": 2, "attn_pdrop": 0, "clip_qkv": 8}},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "depth_pro": {
        "intermediate_hook_ids": [1, 0],
        "patch_size": 32,
        **_inside("image_model_config", image_size=32, patch_size=8),
        **_inside("patch_model_config", image_size=32, patch_size=8),
        **_inside("fov_model_config", image_size=32, patch_size=8),
    },
    "diffllama": {"attention_dropout": 0.0},  # refuses any other
    "diffusion_gemma": _inside(
        "text_config", num_experts=4, top_k_experts=2, moe_intermediate_size=32
    ),
    "dinov3_convnext": {"hidden_sizes": [32, 32, 64, 64], "depths": [1, 1, 1, 1]},
    "dots1": {
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
    },
    "efficientnet": {"hidden_dim": 1280, "width_coefficient": 1.0, "depth_coefficient": 1.0},
    "emu3": {
        "image_token_id": 250,
        "vocabulary_map": {
            "<image>": 250,
            "<|extra_200|>": 249,
            **{f"<|visual token {i:06}|>": 100 + i for i in range(64)},
        },
        **_inside("vq_config", base_channels=32, hidden_size=128, codebook_size=64),
    },
    "encodec": {"num_filters": 8, "codebook_size": 64},
    "ernie4_5_vl_moe": _inside(
        "text_config",
        moe_num_experts=4,
        moe_k=2,
        moe_intermediate_size=[32, 32],
        head_dim=16,
        rope_parameters=_rope(3, 3, 2),
    ),
    "esm": {"vocab_size": 33, "pad_token_id": 1, "mask_token_id": 32},
    "fast_vlm": _inside("vision_config", architecture="test_convnext", model_args=None),
    "fun_asr_nano": {"adaptor_config.intermediate_size": 16},
    "gemma3n": {
        "image_token_id": 210,
        "audio_token_id": 240,
        "vision_soft_tokens_per_image": 17,
        "audio_soft_tokens_per_image": 4,
        **_inside("vision_config", vocab_offset=200, vocab_size=28),
        **_inside("audio_config", vocab_offset=228, vocab_size=28),
        **_inside("text_config", vocab_size_per_layer_input=256, num_hidden_layers=2),
    },
    "glm4v_moe": {"text_config.rope_parameters": _rope(2, 1, 1, partial_rotary_factor=0.5)},
    "glm5_next": {"text_config.index_kpool": 2},
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]]},
    "informer": _SERIES,
    "instructblipvideo": {"video_token_index": 250},
    "kosmos2": {"latent_query_num": 4},
    "kosmos2_5": {"latent_query_num": 4},
    "layoutlmv3": {"coordinate_size": 12, "shape_size": 8, "input_size": 32},
    "led": {"max_encoder_position_embeddings": 1024},
    "levit": {"patch_size": 16},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "lightglue": {"keypoint_detector_config.keypoint_decoder_dim": 65},
    "lilt": {"hidden_size": 96},
    "llama4": _inside("vision_config", vision_output_dim=64, intermediate_size=256),
    "llava_next": _TILES,
    "llava_next_video": _TILES,
    "llava_onevision": _TILES,
    "mamba2": {"num_heads": 4, "head_dim": 32, "n_groups": 1},
    "mimi": {"num_filters": 8, "num_quantizers": 4, "codebook_size": 64},
    "mllama": {
        "text_config.cross_attention_layers": [1],
        **_inside(
            "vision_config",
            intermediate_layers_indices=[0, 1],
            num_global_layers=2,
            vision_output_dim=192,
            supported_aspect_ratios=[[1, 1]],
            max_num_tiles=1,
        ),
    },
    "mobilevitv2": {"image_size": 128},
    "molmo2": {"adapter_config.vision_feature_layer": [1, 0]},
    "moonshine_streaming": {"num_key_value_heads": 4},
    "nemotron": {"num_key_value_heads": 2},
    "nemotron_h": {"n_groups": 2},
    "paddleocr_vl": {"text_config.rope_parameters": _rope(2, 3, 3)},
    "pe_audio": {"audio_config.dac_config.encoder_hidden_size": 4},
    "perception_lm": {"vision_config.model_args": {"embed_dim": 64}},
    "qwen2_5_omni": {"audio_config.max_source_positions": 100},
    "reformer": {"axial_pos_shape": [4, 4], "axial_pos_embds_dim": [32, 32]},
    "rf_detr": {"backbone_config.model_type": "rf_detr_dinov2"},
    "sam": _SAM,
    "sam2": _SAM2,
    "sam_hq": _SAM,
    "seggpt": {
        "merge_index": 0,
        "intermediate_hidden_state_indices": [1, 2, 3, 4],
        "num_hidden_layers": 5,
    },
    "shieldgemma2": {"yes_token_index": 10, "no_token_index": 11},
    "step3p7": {"text_config.sliding_window": 8},
    "superglue": {"keypoint_detector_config.keypoint_decoder_dim": 65},
    "superpoint": {"keypoint_decoder_dim": 65},
    "time_series_transformer": _SERIES,
    "timm_backbone": {"backbone": "test_resnet"},
    "vibevoice_acoustic_tokenizer": _TOKENIZER,
    "vibevoice_asr": _inside("acoustic_tokenizer_encoder_config", **_TOKENIZER)
    | _inside("semantic_tokenizer_encoder_config", **_TOKENIZER),
    "vipllava": {"vision_feature_layers": [-1, -2]},
    "vits": {"use_stochastic_duration_prediction": False, "noise_scale": 0.0},
    "vitmatte": {"fusion_hidden_sizes": [64, 64, 32, 32]}
    | _inside("backbone_config", patch_size=16, image_size=64),
    "vjepa2": {"crop_size": 32, "frames_per_clip": 2},
    "zamba": {
        "num_hidden_layers": 3,
        "layers_block_type": ["linear_attention", "hybrid", "hybrid"],
    },
    "zoedepth": {"backbone_config.num_hidden_layers": 4},
}
"""What a family's small config sets besides."""

_PACKAGE, _INPUT = "needs the package {}", "its batch is not made yet: {}"

UNBUILT: dict[str, str] = {
    "cohere_compass": "its small config is not made yet: a rotary base for each type of layer",
    "colqwen2": _INPUT.format("images as lists of patches"),
    "deepseek_ocr2": "its small config is not made yet: sizes that only checkpoints give",
    "dinat": _PACKAGE.format("natten"),
    "dots3_note": "not small: 43,441,584 parameters",
    "edgetam": "its config has no default: sizes of a timm backbone",
    "edgetam_video": _INPUT.format("an inference session of a video"),
    "efficientloftr": "its small config is not made yet: stages that sum to a width",
    "esmfold2": "its small config is not made yet: a rotary embedding of three dimensions",
    "evolla": "not small: 677,143,172 parameters",
    "gemma4_assistant": "decodes for another model, whose states it takes",
    "gemma4_unified": _INPUT.format("images as raw patches with positions"),
    "gemma4_unified_assistant": "decodes for another model, whose states it takes",
    "glm_image": _INPUT.format("grids of images to be drawn"),
    "granite4_vision": "its config has no default: which layers of vision go where",
    "granite_docling": _INPUT.format("images as tiles"),
    "higgs_audio_v2_tokenizer": _PACKAGE.format("torchaudio"),
    "inkling": _INPUT.format("sounds as bins"),
    "inkling2": _INPUT.format("images as merged patches"),
    "jev": _INPUT.format("marks of questions and options"),
    "layoutlmv2": _PACKAGE.format("detectron2"),
    "lw_detr": "its small config is not made yet: windows that divide an image",
    "minicpm_ocr": _INPUT.format("images as strips with target sizes"),
    "minicpmv4_6": _INPUT.format("images as strips with target sizes"),
    "minicpmv4_7": _INPUT.format("images as strips with target sizes"),
    "molmo2": _INPUT.format("a pooling of image tokens"),
    "moss_transcribe_diarize": _INPUT.format("sounds with two masks"),
    "muse_glimmer": _INPUT.format("images as patches of two frames"),
    "muse_glimmer_assistant": "decodes for another model, whose states it takes",
    "muse_spark": "its small config is not made yet: one list entry for each layer",
    "musicflamingo": _INPUT.format("sounds placed by their text"),
    "nemotron3_5_transcribe": _INPUT.format("sounds with a mask"),
    "nemotron_h_omni": "its config's defaults do not fit its model (projection_hidden_size)",
    "neomme": _INPUT.format("images as rows of patches"),
    "neucodec": "not small: 34,506,314 parameters",
    "omdet_turbo": _INPUT.format("classes and tasks as text"),
    "pe_audio_video": "not small: 28,123,598 parameters",
    "pi0": _INPUT.format("states and actions of a robot"),
    "pp_doclayout_v2": "its config has no default: thresholds and order of classes",
    "pp_lcnet_v4": "its small config is not made yet: channels by block",
    "pp_ocrv5_mobile_rec": _INPUT.format("lines of text, wide and low"),
    "pp_ocrv5_server_det": "its config has no default: a backbone",
    "pp_ocrv6_medium_det": "its config has no default: a backbone",
    "pp_ocrv6_small_det": "its config has no default: channels of its backbone",
    "qwen4_exp": "its config has no default: a budget of tokens",
    "rag": "composite only: it is made of models of other families and an index to search",
    "sam2_video": _INPUT.format("an inference session of a video"),
    "sam3_tracker": "its small config is not made yet: sizes of feature maps",
    "sam3_tracker_video": _INPUT.format("an inference session of a video"),
    "sam3_video": _INPUT.format("an inference session of a video"),
    "tvp": "its small config is not made yet: prompts as large as an image of 448",
    "unlimited_ocr": "its small config is not made yet: two encoders of vision in a row",
    "uvdoc": "its small config is not made yet: lists of convolutions",
    "vibevoice": "not small: 393,018,051 parameters",
    "xcodec2": "not small: 34,464,714 parameters",
}
"""Families that are not built, and why."""
