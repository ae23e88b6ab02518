"""What ``train.py`` trains: models, images and augmentation, and how each way spells them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FULL = {"rand_augment": "rand-m7-mstd0.5-inc1", "erase": 0.25, "mixup": 0.8, "cutmix": 1.0}
"""What is added to resized crops and flips: much as in the paper's recipe of its ViT.

RandAugment has 7 there for 9: at 10, which the noise on 9 reaches, timm's posterize keeps no bit,
and Pillow 13 ends timm's script.
"""

Encoded = Iterable[tuple[bytes, int, str]]
"""The bytes of image files, their labels and suffixes."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One model on one set of images.

    Attributes:
        images: a reader of :data:`READERS`.
        count: images of an epoch; a multiple of the batch.
        side: of the images the model sees.
        classes: number of classes.
        model_args: of timm's ``vit_tiny_patch16_224``.
        dropout: rate of every site in the model but the head.
        extra: augmentation beside resized crops and flips, by its name in ``TrainConfig``.
    """

    name: str
    images: str
    count: int
    side: int
    classes: int
    batch: int
    model_args: dict[str, int]
    crop_scale: float = 0.35
    dropout: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Return every setting, for the conditions."""
        return asdict(self)

    @property
    def dropping_model_args(self) -> dict[str, float]:
        """Return the model's arguments, its dropout rates among them."""
        sites = ("pos_drop_rate", "attn_drop_rate", "proj_drop_rate") if self.dropout else ()
        return {**self.model_args, **dict.fromkeys(sites, self.dropout)}

    def timm_arguments(self, data: Path) -> list[str]:
        """Return the arguments of timm's script; validation waits until after the last epoch."""
        settings: dict[str, Any] = {
            "data-dir": data,
            "model": "vit_tiny_patch16_224",
            "num-classes": self.classes,
            "img-size": self.side,
            "batch-size": self.batch,
            "train-interpolation": "bicubic",
            "opt": "adamw",
            "lr": 1e-3,
            "weight-decay": 0.05,
            "device": "cpu",
            "log-interval": 1,
            "val-interval": 1000,
            "reprob": self.extra.get("erase", 0.0),
            "mixup": self.extra.get("mixup", 0.0),
            "cutmix": self.extra.get("cutmix", 0.0),
            "color-jitter": 0.0,
        }
        if "rand_augment" in self.extra:
            settings["aa"] = self.extra["rand_augment"]
        given = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
        model = [f"{name}={value}" for name, value in self.dropping_model_args.items()]
        scale = ["--scale", str(self.crop_scale), "1.0"]
        return [*given, *scale, "--use-multi-epochs-loader", "--model-kwargs", *model]


SMALL = {"embed_dim": 96, "depth": 4, "num_heads": 3}
TINY = {"embed_dim": 64, "depth": 2, "num_heads": 2}
CIFAR = {"images": "cifar100", "count": 1024, "side": 32, "classes": 100, "batch": 128}

CASES = {
    case.name: case
    for case in (
        Case(name="cifar", **CIFAR, model_args={"img_size": 32, "patch_size": 4, **SMALL}),
        Case(
            name="cifar, dropout",
            **CIFAR,
            model_args={"img_size": 32, "patch_size": 4, **SMALL},
            dropout=0.1,
        ),
        Case(
            name="cifar, full",
            **CIFAR,
            model_args={"img_size": 32, "patch_size": 4, **SMALL},
            extra=FULL,
        ),
        Case(
            name="cifar, tiny model",
            **CIFAR | {"count": 5120},
            model_args={"img_size": 32, "patch_size": 8, **TINY},
        ),
        Case(
            name="clothing",
            images="clothing10",
            count=1024,
            side=96,
            classes=10,
            batch=64,
            model_args={"img_size": 96, "patch_size": 16, **SMALL},
        ),
        Case(
            name="photos",
            images="coco-sample",
            count=256,
            side=224,
            classes=2,
            batch=32,
            model_args={"img_size": 224, "patch_size": 32, **SMALL},
        ),
    )
}


def write_folder(case: Case, shared: Path, folder: Path) -> str:
    """Write the case's images below ``train`` and a few below ``val``; return what they are."""
    real = (shared / case.images).is_dir()
    source = READERS[case.images] if real else _noise
    for split, count in (("train", case.count), ("val", 2 * case.classes)):
        for label in range(case.classes):
            (folder / split / f"{label:03d}").mkdir(parents=True)
        for index, (encoded, label, suffix) in enumerate(source(case, shared / case.images, count)):
            (folder / split / f"{label:03d}" / f"{index:06d}{suffix}").write_bytes(encoded)
    return f"{case.count} images of {case.images}" if real else f"{case.count} images of noise"


def _sprites(case: Case, path: Path, count: int) -> Encoded:
    from droptime.training.data.packed import load_sprites

    train, _ = load_sprites(path)
    for index in _of_every_class(train.labels, count):
        yield _png(train.pixels[index]), int(train.labels[index]), ".png"


def _packed(case: Case, path: Path, count: int) -> Encoded:
    from droptime.training.data.packed import load_packed

    train, _ = load_packed(path)
    for index in _of_every_class(train.labels, count):
        start, end = train.offsets[index : index + 2]
        yield train.blob[start:end].tobytes(), int(train.labels[index]), ".jpg"


def _photos(case: Case, path: Path, count: int) -> Encoded:
    files = sorted((path / "train/images").glob("*.jpg")) or sorted(path.rglob("*.jpg"))
    for index in range(count):
        yield files[index % len(files)].read_bytes(), index % case.classes, ".jpg"


def _noise(case: Case, path: Path, count: int) -> Encoded:
    draw = np.random.default_rng(0)
    for index in range(count):
        pixels = draw.integers(0, 256, (case.side, case.side, 3), dtype=np.uint8)
        yield _png(pixels), index % case.classes, ".png"


def _of_every_class(labels: np.ndarray, count: int) -> np.ndarray:
    """Return places in the set, every class among them where the count allows it."""
    _, first = np.unique(labels, return_index=True)
    rest = np.setdiff1d(np.arange(len(labels)), first)
    return np.concatenate([first, rest])[:count]


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


READERS: dict[str, Callable[[Case, Path, int], Encoded]] = {
    "cifar100": _sprites,
    "clothing10": _packed,
    "coco-sample": _photos,
}
