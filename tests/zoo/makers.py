"""What an argument of a transformers model is, by its name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.batches import LENGTH, SAMPLES, Batch

_Make = Callable[[Batch], "Tensor | None"]


def _side(size: Any) -> tuple[int, int]:
    """Height and width of a size, which may be one number for both."""
    return (size[0], size[-1]) if isinstance(size, (list, tuple)) else (size, size)


def _pixels(batch: Batch) -> Tensor:
    """Images; rows of patches, or frames, for models that take those."""
    channels = batch.look("num_channels", "in_channels", "in_chans", "image_channels", default=3)
    channels = channels if isinstance(channels, int) else channels[0]
    height, width = _side(batch.look("patch_size", default=8))
    if {"image_grid_thw", "grid_thw"} & set(batch.parameters):
        time = batch.look("temporal_patch_size", default=1)
        return batch.normal(SAMPLES * 16, channels * time * height * width)
    if "spatial_shapes" in batch.parameters:
        return batch.normal(SAMPLES, 16, channels * height * width)
    size = _side(batch.look("image_size", "img_size", "input_size", default=64))
    if hasattr(batch.vision, "num_frames") or hasattr(batch.vision, "tubelet_size"):
        frames = batch.look("num_frames", "frames_per_clip", default=2)
        return batch.normal(SAMPLES, frames, channels, *size)
    return batch.normal(SAMPLES, channels, *size)


def _videos(batch: Batch) -> Tensor:
    frames = batch.look("num_frames", "frames_per_clip", default=2)
    size = _side(batch.look("image_size", "crop_size", default=32))
    return batch.normal(SAMPLES, frames, 3, *size)


def _pixel_mask(batch: Batch) -> Tensor:
    shape = batch.made["pixel_values"].shape
    return torch.ones(*shape[:-3], *shape[-2:], dtype=torch.long)


def _takes_bands_first(batch: Batch, bands: int) -> bool:
    """Whether a convolution over time takes the bands of a spectrogram as its channels."""
    modules = batch.model.modules()
    return any(isinstance(m, nn.Conv1d) and m.in_channels == bands for m in modules)


def _spectrogram(batch: Batch) -> Tensor:
    names: tuple[str, ...] = (
        "num_mel_bins",
        "feature_size",
        "input_feat_per_channel",
        "input_dim",
        "mel_dim",
    )
    names += ("n_mels", "feature_projection_input_dim", "input_feat_size")
    bands = batch.look(*names, inside=batch.audio) or batch.look(*names, default=80)
    length = 2 * (batch.look("max_source_positions", inside=batch.audio) or 32)
    if _takes_bands_first(batch, bands):
        return batch.normal(SAMPLES, bands, length)
    return batch.normal(SAMPLES, length, bands)


def _spectrogram_mask(batch: Batch) -> Tensor:
    _, rows, columns = batch.made["input_features"].shape
    length = columns if _takes_bands_first(batch, rows) else rows
    return torch.ones(SAMPLES, length, dtype=torch.long)


def _wave(batch: Batch) -> Tensor:
    """Samples of a sound; a spectrogram for models that call it so."""
    strides = batch.look("conv_stride", "downsampling_ratios", "upsampling_ratios")
    bands = batch.look("num_mel_bins")
    if bands is not None and batch.look("conv_stride") is None:
        return batch.normal(SAMPLES, batch.look("max_length", default=64), bands)
    length = 8 * math.prod(strides) if isinstance(strides, (list, tuple)) else 3200
    channels = batch.look("audio_channels")
    return batch.normal(SAMPLES, *([] if channels is None else [channels]), length)


def _series(batch: Batch) -> Tensor:
    length = batch.look("context_length", "prediction_length", default=32)
    if lags := batch.look("lags_sequence"):
        return batch.normal(SAMPLES, length + max(lags)).abs()
    channels = batch.look("num_input_channels", "input_size")
    return batch.normal(SAMPLES, length, *([channels] if channels else []))


def _future(batch: Batch) -> Tensor | None:
    if batch.look("lags_sequence"):
        return batch.normal(SAMPLES, batch.look("prediction_length")).abs()
    return None


def _calendar(batch: Batch, length: int) -> Tensor:
    return batch.normal(SAMPLES, length, batch.look("num_time_features", default=0))


MAKERS: dict[str, _Make] = {
    "decoder_input_ids": lambda batch: batch.words(batch.config.get_text_config(decoder=True)),
    "qformer_input_ids": Batch.words,
    "bbox": lambda batch: torch.tensor([1, 2, 3, 4]).expand(SAMPLES, LENGTH, 4).clone(),
    "pixel_values": _pixels,
    "high_res_pixel_values": _pixels,
    "image": _pixels,
    "image_grid_thw": lambda batch: torch.tensor([[1, 4, 4]] * SAMPLES),
    "grid_thw": lambda batch: torch.tensor([[1, 4, 4]] * SAMPLES),
    "spatial_shapes": lambda batch: torch.tensor([[4, 4]] * SAMPLES),
    "input_features": _spectrogram,
    "input_values": _wave,
    "past_values": _series,
    "future_values": _future,
    "future_time_features": lambda batch: _calendar(batch, batch.look("prediction_length")),
    "input_points": lambda batch: 10 * batch.normal(SAMPLES, 1, 2, 2).abs(),
    "input_labels": lambda batch: torch.ones(SAMPLES, 1, 2, dtype=torch.int),
    "pixel_values_videos": _videos,
    "pixel_attention_mask": _pixel_mask,
    "image_sizes": lambda batch: torch.tensor([batch.made["pixel_values"].shape[-2:]] * SAMPLES),
    "input_features_mask": _spectrogram_mask,
    "feature_attention_mask": _spectrogram_mask,
    "past_observed_mask": lambda batch: torch.ones_like(batch.made["past_values"]),
    "past_time_features": lambda batch: _calendar(batch, batch.made["past_values"].shape[1]),
}
"""How to make an argument; None leaves it out."""

COMPANIONS = {
    "pixel_values_videos",
    "pixel_attention_mask",
    "image_sizes",
    "input_features_mask",
    "feature_attention_mask",
    "past_observed_mask",
    "past_time_features",
}
"""Arguments that are made only where they are demanded."""
