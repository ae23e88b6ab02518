"""Settings that suit a kind of data: functions that return one frozen config."""

from __future__ import annotations

from droptime.training.config import TrainConfig


def digits() -> TrainConfig:
    """Return a small ViT (4 blocks of width 64) on 8 x 8 digits: half a minute on one core.

    >>> digits().model_args["depth"]
    4
    """
    return TrainConfig(
        data="digits",
        model="vit_tiny_patch16_224",
        model_args={
            "img_size": 8,
            "patch_size": 2,
            "embed_dim": 64,
            "depth": 4,
            "num_heads": 4,
        },
        epochs=20,
        batch_size=64,
        lr=3e-3,
        warmup="10%",
        clip_grad=1.0,
    )
