"""A batch of two samples for a model of transformers, from the signature of its forward."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.families import INPUTS

LENGTH, SAMPLES, FRAMES = 16, 2, 2

_Makes = Callable[["Batch"], "Tensor | None"]
MAKERS: dict[str, _Makes] = {}
ALWAYS = set()


class Batch:
    """The arguments of one forward while they are made."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.config = model, model.config
        self.text = self.config.get_text_config(encoder=True)
        self.vision = part(self.config, "vision", "image", "vit", "backbone", "encoder")
        self.audio = part(self.config, "audio", "speech", "encoder")
        self.generator = torch.Generator().manual_seed(0)
        self.made: dict[str, Any] = {}
        self.parameters = inspect.signature(model.forward).parameters

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def integers(self, high: int, *shape: int, low: int = 0) -> Tensor:
        return torch.randint(low, high, shape, generator=self.generator)

    def look(self, *names: str, default: Any = None, inside: Any = None) -> Any:
        """The first of some fields that the config has, here or in a sub-config."""
        for config in [inside] if inside is not None else [self.vision, self.config, self.text]:
            for name in names:
                if (value := getattr(config, name, None)) is not None:
                    return value
        return default


def part(config: Any, *names: str) -> Any:
    """The sub-config, however deep, whose field is named so; else the config itself."""
    for name in names:
        for key, value in vars(config).items():
            if hasattr(value, "sub_configs") and not key.startswith("_"):
                if name in key:
                    return value
                if (found := part(value, name)) is not value:
                    return found
    return config


def example(model: nn.Module) -> dict[str, Any]:
    """A batch of two samples with which the model runs forward: keywords.

    Whatever the forward demands is made, and what makes every part of the model run: the images of
    a model of text and images as well as its text.
    """
    batch = Batch(model)
    demanded = {
        name
        for get in takers(model)
        for name, parameter in inspect.signature(get).parameters.items()
        if parameter.default is inspect.Parameter.empty
    }
    family = type(model).__module__.split(".")[2]
    special = INPUTS[family](batch) if family in INPUTS else {}
    batch.made |= {name: value for name, value in special.items() if value is not None}
    for name in batch.parameters:
        if name in special or name in ("kwargs", "input_ids", "mm_token_type_ids"):
            continue
        if name in MAKERS and (name in demanded or name in ALWAYS):
            value = MAKERS[name](batch)
            if value is not None:
                batch.made[name] = value
    if "input_ids" in batch.parameters and "input_ids" not in special:
        batch.made["input_ids"] = input_ids(batch)
    if "mm_token_type_ids" in batch.parameters and "input_ids" in batch.made:
        batch.made["mm_token_type_ids"] = (batch.made["input_ids"] == image_token(batch)).long()
    return batch.made


def takers(model: nn.Module) -> list[Callable[..., Any]]:
    """The functions of a model that take parts of a batch."""
    names = ("get_image_features", "get_audio_features")
    return [model.forward, *(getattr(model, name) for name in names if hasattr(model, name))]


def maker(*names: str, always: bool = True) -> Callable[[_Makes], _Makes]:
    def keep(make: _Makes) -> _Makes:
        for name in names:
            MAKERS[name] = make
            if always:
                ALWAYS.add(name)
        return make

    return keep


def words(batch: Batch, config: Any = None, length: int = LENGTH) -> Tensor:
    """Random tokens none of which is special."""
    config = batch.text if config is None else config
    size = getattr(config, "vocab_size", None) or 100
    special = {v for c in (batch.config, config) for k, v in vars(c).items() if k.endswith(("_id", "_index")) and isinstance(v, int)}
    plain = [i for i in range(min(size, 128)) if i not in special]
    return torch.tensor(plain)[batch.integers(len(plain), SAMPLES, length)]


def image_token(batch: Batch) -> int | None:
    return batch.look("image_token_id", "image_token_index", "image_token", "audio_token_id", "audio_token_index")


def input_ids(batch: Batch) -> Tensor:
    """Words, with as many image (or audio) tokens among them as there are features."""
    ids = words(batch)
    token, features = image_token(batch), 0
    if token is None:
        return ids
    for kind in ("image", "audio"):
        name = f"get_{kind}_features"
        get = next((getattr(m, name) for m in batch.model.modules() if hasattr(m, name)), None)
        if get is None:
            continue
        if (t := batch.look(f"{kind}_token_id", f"{kind}_token_index")) is not None:
            token = t
        else:
            continue
        wanted = inspect.signature(get).parameters
        given = {k: v for k, v in batch.made.items() if k in wanted}
        if not given:
            continue
        with torch.no_grad():
            features = rows(get(**given)) // SAMPLES
        start = batch.look("vision_start_token_id")
        opening = [] if start is None else [torch.full((SAMPLES, 1), start)]
        ids = torch.cat([ids[:, :2], *opening, torch.full((SAMPLES, features), token), ids[:, 2:]], 1)
    return ids


def rows(features: Any) -> int:
    """How many tokens some features stand for."""
    if hasattr(features, "pooler_output") and features.pooler_output is not None:
        features = features.pooler_output
    elif hasattr(features, "last_hidden_state"):
        features = features.last_hidden_state
    if isinstance(features, Tensor):
        return features.numel() // features.shape[-1]
    return sum(rows(f) for f in features)


def side(size: Any) -> tuple[int, int]:
    if isinstance(size, (list, tuple)):
        return (size[0], size[1]) if len(size) > 1 else (size[0], size[0])
    return size, size


@maker("pixel_values", "images", "image", "high_res_pixel_values")
def pixels(batch: Batch) -> Tensor | None:
    vision = batch.vision
    channels = batch.look("num_channels", "in_channels", "in_chans", "image_channels", default=3)
    channels = channels if isinstance(channels, int) else channels[0]
    patch = batch.look("patch_size", default=8)
    if any(n in batch.parameters for n in ("image_grid_thw", "grid_thw")):
        p = side(patch)
        time = batch.look("temporal_patch_size", default=1)
        return batch.normal(SAMPLES * 16, channels * time * p[0] * p[1])
    if "spatial_shapes" in batch.parameters:
        return batch.normal(SAMPLES, 16, channels * side(patch)[0] ** 2)
    size = side(batch.look("image_size", "img_size", "input_size", default=64))
    if "video" in type(vision).__name__.lower() or hasattr(vision, "num_frames") or hasattr(vision, "tubelet_size"):
        frames = batch.look("num_frames", "frames_per_clip", default=FRAMES)
        return batch.normal(SAMPLES, frames, channels, *size)
    return batch.normal(SAMPLES, channels, *size)


@maker("pixel_values_videos", always=False)
def videos(batch: Batch) -> Tensor:
    frames = batch.look("num_frames", "frames_per_clip", default=FRAMES)
    if "spatial_shapes" in batch.parameters:
        return batch.normal(SAMPLES, 16, channels * side(patch)[0] ** 2)
    size = side(batch.look("image_size", "crop_size", default=32))
    return batch.normal(SAMPLES, frames, 3, *size)


@maker("image_grid_thw", "grid_thw")
def grid(batch: Batch) -> Tensor:
    return torch.tensor([[1, 4, 4]] * SAMPLES)


@maker("hidden_states", always=False)
def hidden(batch: Batch) -> Tensor | None:
    return pixels(batch)


@maker("input_features", "audio_mel", "input_audio_features")
def features(batch: Batch) -> Tensor:
    names = (
        "num_mel_bins", "feature_size", "input_feat_per_channel", "input_dim", "mel_dim", "n_mels",
        "feature_projection_input_dim", "input_feat_size",
    )
    mel = batch.look(*names, inside=batch.audio) or batch.look(*names, default=80)
    length = 2 * (batch.look("max_source_positions", inside=batch.audio) or 32)
    first = any(isinstance(m, nn.Conv1d) and m.in_channels == mel for m in batch.model.modules())
    return batch.normal(SAMPLES, mel, length) if first else batch.normal(SAMPLES, length, mel)


@maker("input_features_mask", "feature_attention_mask", always=False)
def features_mask(batch: Batch) -> Tensor:
    shape = batch.made["input_features"].shape
    first = any(isinstance(m, nn.Conv1d) and m.in_channels == shape[1] for m in batch.model.modules())
    return torch.ones(SAMPLES, shape[2] if first else shape[1], dtype=torch.long)


@maker("input_values")
def wave(batch: Batch) -> Tensor | None:
    strides = batch.look("conv_stride", "downsampling_ratios", "upsampling_ratios")
    if batch.look("num_mel_bins") is not None and batch.look("conv_stride") is None:
        return batch.normal(SAMPLES, batch.look("max_length", default=64), batch.look("num_mel_bins"))
    length = 8 * math.prod(strides) if isinstance(strides, (list, tuple)) else 3200
    if batch.look("audio_channels") is not None:
        return batch.normal(SAMPLES, batch.look("audio_channels"), length)
    return batch.normal(SAMPLES, length)


@maker("decoder_input_ids", "qformer_input_ids", "text_input_ids", "classes_input_ids")
def decoder_ids(batch: Batch) -> Tensor | None:
    decoder = batch.config.get_text_config(decoder=True)
    ids = words(batch, decoder)
    shape = batch.look("num_codebooks", inside=decoder)
    return ids


@maker("decoder_attention_mask", "attention_mask", "qformer_attention_mask", always=False)
def mask(batch: Batch) -> Tensor:
    return torch.ones(SAMPLES, LENGTH, dtype=torch.long)


@maker("bbox")
def boxes(batch: Batch) -> Tensor:
    return torch.tensor([1, 2, 3, 4]).expand(SAMPLES, LENGTH, 4).clone()


@maker("past_values")
def past(batch: Batch) -> Tensor:
    length = batch.look("context_length", "prediction_length", default=32)
    lags = batch.look("lags_sequence")
    if lags is not None:
        return batch.normal(SAMPLES, length + max(lags)).abs()
    channels = batch.look("num_input_channels", "input_size")
    return batch.normal(SAMPLES, length, channels) if channels else batch.normal(SAMPLES, length)


@maker("past_observed_mask", always=False)
def observed(batch: Batch) -> Tensor:
    return torch.ones_like(batch.made["past_values"])


@maker("past_time_features", always=False)
def past_time(batch: Batch) -> Tensor:
    return batch.normal(*batch.made["past_values"].shape, batch.look("num_time_features", default=0))


@maker("future_values")
def future(batch: Batch) -> Tensor | None:
    return batch.normal(SAMPLES, batch.look("prediction_length")).abs() if batch.look("lags_sequence") else None


@maker("future_time_features")
def future_time(batch: Batch) -> Tensor | None:
    return batch.normal(SAMPLES, batch.look("prediction_length"), batch.look("num_time_features", default=0))


@maker("input_points")
def points(batch: Batch) -> Tensor:
    return 10 * batch.normal(SAMPLES, 1, 2, 2).abs()


@maker("input_labels")
def labels(batch: Batch) -> Tensor:
    return torch.ones(SAMPLES, 1, 2, dtype=torch.int)


@maker("image_sizes", always=False)
def sizes(batch: Batch) -> Tensor:
    return torch.tensor([list(batch.made["pixel_values"].shape[-2:])] * SAMPLES)


@maker("spatial_shapes")
def shapes(batch: Batch) -> Tensor:
    return torch.tensor([[4, 4]] * SAMPLES)


@maker("pixel_attention_mask", always=False)
def pixel_mask(batch: Batch) -> Tensor:
    pixels = batch.made["pixel_values"]
    if pixels.ndim == 3:
        return torch.ones(pixels.shape[:2], dtype=torch.long)
    return torch.ones(*pixels.shape[:-3], *pixels.shape[-2:], dtype=torch.long)
