"""Settings that suit a kind of data: functions that return one frozen config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches

from droptime.errors import ConfigError
from droptime.training.settings.config import TrainConfig
from droptime.training.settings.paper_arms import with_arm


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


def cifar100() -> TrainConfig:
    """Return a ViT of 6 blocks of width 128 on CIFAR-100: ten epochs, for two cores or one GPU.

    1.2 million parameters and 64 tokens of 4 x 4 pixels. So short a run underfits: it is
    regularised by shifts and flips alone, and label smoothing. Longer runs (``epochs=100``) want
    ``mixup``, ``cutmix`` or ``rand_augment="rand-m9-mstd0.5-inc1"``.

    >>> cifar100().model_args["patch_size"]
    4
    """
    return TrainConfig(
        data="torch/cifar100",
        data_dir="data",
        model="vit_t16",
        model_args={"img_size": 32, "patch_size": 4, "embed_dim": 128, "depth": 6, "num_heads": 4},
        epochs=10,
        batch_size=128,
        lr=1e-3,
        warmup="1ep",
        clip_grad=1.0,
        crop_padding=4,
        flip=0.5,
        eval_every=5,
    )


def cifar10() -> TrainConfig:
    """Return :func:`cifar100` for CIFAR-10."""
    return replace(cifar100(), data="torch/cifar10")


def tiny_imagenet() -> TrainConfig:
    """Return :func:`cifar100` for Tiny ImageNet: 64 x 64 pixels, patches of 8, five epochs.

    ``data_dir`` is the folder that the archive of Stanford's CS231n unpacks to.
    """
    model_args = {**cifar100().model_args, "img_size": 64, "patch_size": 8}
    return replace(
        cifar100(),
        data="tiny_imagenet",
        data_dir="data/tiny-imagenet-200",
        model_args=model_args,
        epochs=5,
        crop_padding=8,
    )


def image_folder(path: str) -> TrainConfig:
    """Return settings for a folder of images of one's own, at 64 x 64 pixels, from scratch.

    :func:`tiny_imagenet` with random resized crops and thirty epochs, for some thousand images.
    Fine-tuning does better where weights are at hand.

    Args:
        path: holds ``CLASS/*``, or ``train/CLASS/*`` and ``test/CLASS/*``.
    """
    return replace(
        tiny_imagenet(),
        data=f"folder:{path}",
        data_dir=None,
        epochs=30,
        batch_size=64,
        warmup="10%",
        crop_padding=0,
        crop_scale=0.35,
    )


def basic(model: str = "vit_t16", *, data: str = "folder:imagenet") -> TrainConfig:
    """Return the paper's basic recipe: ImageNet, 300 epochs, batches of 4096, nothing dropped.

    AdamW, lr 4e-3, warmup of 50 epochs from lr 0, cosine to 1e-6, weight decay 0.05; RandAugment,
    mixup 0.8, CutMix 1.0, erasing 0.25, smoothing 0.1; timm's transforms; float32. Settings
    are those of the authors' public commands (Liu et al. 2023). One device takes 32 passes of 128
    images for a step. Nobody has trained ImageNet with it here: formulas, sizes and transforms are
    checked against their sources, its accuracies are not.

    Args:
        model: ``vit_t16``, ``mixer_s32``, ``swin_f``, ``convnext_f``, ``vit_b16`` or ``mixer_b16``.
        data: a folder with ``train/CLASS/*`` and ``val/CLASS/*``.

    >>> basic("swin_f").warmup
    '50ep'
    """
    return TrainConfig(
        data=data,
        model=model,
        image_size=224,
        epochs=300,
        batch_size=4096,
        accumulate=32,
        lr=4e-3,
        min_lr=1e-6,
        warmup="50ep",
        weight_decay=0.05,
        smoothing=0.1,
        mixup=0.8,
        cutmix=1.0,
        augment_on="cpu",
        crop_scale=0.08,
        flip=0.5,
        rand_augment="rand-m9-mstd0.5-inc1",
        erase=0.25,
        erase_with="noise",
        normalise="imagenet",
        test_crop=0.875,
        workers=8,
        checkpoint_every=312,
        log_every=52,
        eval_every=50,
    )


def improved(model: str = "vit_t16", *, data: str = "folder:imagenet") -> TrainConfig:
    """Return the paper's improved recipe: :func:`basic` for 600 epochs, mixup and CutMix 0.3.

    Warmup and early dropout stay at 50 epochs. The paper reports it for ``vit_t16``, ``swin_f``
    and ``convnext_f``; it has no row for ``mixer_s32``.
    """
    return replace(basic(model, data=data), epochs=600, mixup=0.3, cutmix=0.3)


def late(model: str = "vit_b16", *, data: str = "folder:imagenet") -> TrainConfig:
    """Return :func:`basic` with stochastic depth from epoch 50 on, for ViT-B and Mixer-B.

    ViT-B's rate, 0.4, is the authors'. Mixer-B's is not known: 0.2 is a guess, see
    :func:`~droptime.training.settings.paper_arms.paper_rate`.

    >>> late().drop_path
    'late(0.4, since=50ep, shape=constant)'
    """
    return with_arm(basic(model, data=data), "late-drop-path")


SMALL: Mapping[str, Callable[[], TrainConfig]] = {
    "digits": digits,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "tiny_imagenet": tiny_imagenet,
}
PAPER: Mapping[str, Callable[..., TrainConfig]] = {
    "basic": basic,
    "improved": improved,
    "late": late,
}


def ready(name: str, model: str | None = None) -> TrainConfig:
    """Return a recipe by its name; one of the paper's has the rates of the model.

    Raises:
        ConfigError: there is no such recipe.

    >>> ready("late", "mixer_b16").drop_path
    'late(0.2, since=50ep, shape=constant)'
    """
    if name in PAPER:
        return PAPER[name]() if model is None else PAPER[name](model)
    if name in SMALL:
        return SMALL[name]() if model is None else replace(SMALL[name](), model=model)
    near = get_close_matches(name, [*SMALL, *PAPER], n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join([*SMALL, *PAPER])}."
    raise ConfigError(f"There is no recipe {name!r}: {hint}")
