"""Everything that decides a training run, in one flat frozen value that JSON can hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal

from droptime.errors import ClockError, ConfigError, CurveError
from droptime.records import JSON
from droptime.schedules import parse
from droptime.schedules.fitting import check_epochs
from droptime.training.settings.rules import (
    Arguments,
    CurveText,
    Flag,
    Length,
    Maybe,
    Names,
    Number,
    OneOf,
    RandAugmentText,
    Rule,
    Text,
    Whole,
    check,
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The settings of one training run.

    Curves are kept in the spelling that ``str(curve)`` has, so equal curves are equal settings.

    Args:
        data: "digits", "folder:PATH", or a data set by name such as "torch/cifar100".
        data_dir: where a data set by name lies.
        download: let a timm data set be downloaded into data_dir.
        train_split: what a timm data set calls its training set.
        test_split: what a timm data set calls the set to test on.
        data_seed: draws the train/test split and the limited subsets; not the run's seed.
        test_fraction: part held out where the data comes without a test set.
        train_limit: train on this many images only, stratified by class.
        test_limit: test on this many images only, stratified by class.
        image_size: side of the square images in pixels; none: what the model expects.
        memory_gb: decode images once and keep them if they fit in this many GiB.
        workers: processes that decode images that do not fit.
        model: one of the paper's (vit_t16, mixer_s32, swin_f, convnext_f, ...) or timm's.
        model_args: more arguments for timm.create_model, such as img_size or depth.
        weights: begin with those of a run directory or a safetensors file, or "timm" (its own).
        epochs: length of the run.
        batch_size: images per optimizer step.
        accumulate: backward passes per optimizer step; divides batch_size.
        lr: peak learning rate of AdamW.
        min_lr: where the cosine ends.
        warmup: linear warmup, as a duration ("5%", "10ep", "200st").
        beta1: decay of AdamW's mean of gradients.
        beta2: decay of AdamW's mean of squared gradients.
        eps: what AdamW adds to the denominator.
        weight_decay: on matrices only; biases, norms and the model's own exceptions are spared.
        smoothing: label smoothing in [0, 1).
        mixup: Beta parameter of mixup; 0 is off.
        cutmix: Beta parameter of cutmix; 0 is off.
        mix_chance: chance that a batch is mixed at all, where mixup or cutmix is on.
        cutmix_share: where both are on, cutmix's share of the mixed batches.
        augment_on: "device" (whole batches) or "cpu" (timm's transforms, image by image).
        crop_padding: random crops after padding by this many pixels.
        crop_scale: least area of a random part that is enlarged to the whole; none: no such crop.
        flip: chance of a horizontal flip.
        rand_augment: RandAugment as timm spells it, such as "rand-m9-mstd0.5-inc1"; none: none.
        erase: chance of erasing a random rectangle.
        erase_with: "mean" (one colour) or "noise" (timm's mode pixel).
        normalise: by "data" (the training images' mean and deviation), "imagenet" or "half" (0.5).
        test_crop: part of the shorter side measured on; below 1 needs augment_on="cpu".
        clip_grad: largest gradient norm; none: no clipping.
        ema_decay: keep and evaluate an average of the weights with this decay; none: no average.
        seed: of initial weights, data order, augmentation and dropout masks.
        arm: a name for this way of dropping, which studies and reports group runs by.
        dropout: curve of element and attention dropout; none: left as the model has it.
        drop_path: curve of stochastic depth; none: left as the model has it.
        skip: compute no branch that stochastic depth drops: "no", "yes" or "fixed" (counts).
        probe_every: measure the gradients every so many optimizer steps; none: never.
        probe_batches: mini-batches whose gradients are compared.
        probe_reference: batches of the gradient they are compared with; none: the whole set.
        probe_groups: also measure parts: "layer", or patterns of names, "*.attn.*, head.*".
        checkpoint_every: optimizer steps between checkpoints.
        checkpoint_minutes: save after this many minutes too; none: by steps alone.
        keep_checkpoints: how many of the newest checkpoints are kept.
        skip_nonfinite: steps that a run may leave out because their loss or gradient is not finite.
        log_every: optimizer steps between training rows.
        eval_every: epochs between evaluations; the end of the run is always evaluated.
        mixed_precision: "no", "bf16" or "fp16" (fp16 needs a GPU).
        device: "auto" (a GPU if there is one; Apple's are not used) or "cpu".
        compile: run the model through torch.compile.
        channels_last: lay images and convolutions out channel by channel, which suits a GPU.
        shard: keep only a part of the model in each of several processes (FSDP2).
        trackers: where rows go beside the record: tensorboard, wandb, mlflow, trackio or several
            of them with commas.

    Raises:
        ConfigError: a setting, or a combination of settings, that cannot work.

    >>> TrainConfig(data="digits", batch_size=100, accumulate=3)
    Traceback (most recent call last):
    droptime.errors.ConfigError: accumulate=3 does not divide batch_size=100.
    """

    data: str
    data_dir: str | None = None
    download: bool = False
    train_split: str = "train"
    test_split: str = "validation"
    data_seed: int = 0
    test_fraction: float = 0.2
    train_limit: int | None = None
    test_limit: int | None = None
    image_size: int | None = None
    memory_gb: float = 2.0
    workers: int = 0
    model: str = "vit_tiny_patch16_224"
    model_args: dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    epochs: int = 100
    batch_size: int = 128
    accumulate: int = 1
    lr: float = 1e-3
    min_lr: float = 1e-6
    warmup: str = "5%"
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.05
    smoothing: float = 0.1
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_chance: float = 1.0
    cutmix_share: float = 0.5
    augment_on: Literal["device", "cpu"] = "device"
    crop_padding: int = 0
    crop_scale: float | None = None
    flip: float = 0.0
    rand_augment: str | None = None
    erase: float = 0.0
    erase_with: Literal["mean", "noise"] = "mean"
    normalise: Literal["data", "imagenet", "half"] = "data"
    test_crop: float = 1.0
    clip_grad: float | None = None
    ema_decay: float | None = None
    seed: int = 0
    arm: str = "run"
    dropout: str | None = None
    drop_path: str | None = None
    skip: Literal["no", "yes", "fixed"] = "no"
    probe_every: int | None = None
    probe_batches: int = 32
    probe_reference: int | None = None
    probe_groups: str | None = None
    checkpoint_every: int = 500
    checkpoint_minutes: float | None = None
    keep_checkpoints: int = 2
    skip_nonfinite: int = 0
    log_every: int = 10
    eval_every: int = 1
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    device: Literal["auto", "cpu"] = "auto"
    compile: bool = False
    channels_last: bool = False
    shard: bool = False
    trackers: str | None = None

    def __post_init__(self) -> None:
        check({spec.name: getattr(self, spec.name) for spec in fields(self)}, _RULES)
        if self.batch_size % self.accumulate:
            raise ConfigError(
                f"accumulate={self.accumulate} does not divide batch_size={self.batch_size}."
            )
        if self.min_lr > self.lr:
            raise ConfigError(f"min_lr={self.min_lr} is above lr={self.lr}.")
        if self.mixes and self.micro_batch % 2:
            raise ConfigError(
                f"mixup and cutmix pair the images of a batch: {self.micro_batch} images per "
                "backward pass are odd, change batch_size or accumulate."
            )
        self._check_used()
        if self.shard and self.mixed_precision == "fp16":
            raise ConfigError('shard=True with mixed_precision="fp16": choose "bf16".')
        if self.shard and self.channels_last:
            raise ConfigError("shard=True with channels_last=True: FSDP2 takes no such weights.")
        self._check_skip()
        self._check_augmentation()
        for name in _CURVES:
            self._check_length(name)
            object.__setattr__(self, name, _one_spelling(getattr(self, name)))

    def _check_used(self) -> None:
        """Refuse what is given beside a thing that is off."""
        both = self.mixup > 0 and self.cutmix > 0
        needs = {
            "mix_chance": ("mixup or cutmix", self.mixes),
            "cutmix_share": ("both mixup and cutmix", both),
            "probe_batches": ("probe_every", self.probe_every is not None),
            "probe_reference": ("probe_every", self.probe_every is not None),
            "probe_groups": ("probe_every", self.probe_every is not None),
        }
        for name, (other, there) in needs.items():
            value = getattr(self, name)
            if not there and value != getattr(type(self), name):
                raise ConfigError(f"{name}={value!r} does nothing without {other}: give it too.")

    def _check_skip(self) -> None:
        if self.skip != "no" and self.drop_path is None:
            raise ConfigError(f"skip={self.skip!r} does nothing without drop_path: give it too.")
        if self.skip == "yes" and self.compile:
            raise ConfigError(
                'skip="yes" with compile=True: compiled, every branch is computed and masked. '
                'Choose "fixed" (each new rate compiles anew), or leave one of the two out.'
            )

    def _check_augmentation(self) -> None:
        if self.augment_on == "cpu":
            return
        if self.test_crop < 1:
            raise ConfigError(
                f"test_crop={self.test_crop} with augment_on='device': there, training sees whole "
                "squares. Leave it at 1, or set augment_on='cpu'."
            )
        if self.rand_augment is not None and "-inc1" not in self.rand_augment:
            raise ConfigError(
                f"rand_augment={self.rand_augment!r} on the device: only timm's increasing set is "
                "there. Add -inc1, or set augment_on='cpu'."
            )

    def _check_length(self, name: str) -> None:
        text = getattr(self, name)
        try:
            if text is not None:
                check_epochs(text, self.epochs)
        except ClockError as error:
            raise ConfigError(f"{name}={text!r} does not fit the run: {error}") from error

    @property
    def micro_batch(self) -> int:
        """Images per backward pass."""
        return self.batch_size // self.accumulate

    @property
    def mixes(self) -> bool:
        """Whether mixup or cutmix is on."""
        return self.mixup > 0 or self.cutmix > 0

    def to_dict(self) -> dict[str, JSON]:
        """Return every setting as JSON would give it back (tuples become lists)."""
        plain: dict[str, JSON] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, JSON]) -> TrainConfig:
        """Build from settings by name; those left out keep their default.

        Raises:
            ConfigError: a name that is no setting (with the nearest ones), no ``data``, or a
                value that cannot work.

        >>> TrainConfig.from_dict({"data": "digits", "epoch": 3})
        Traceback (most recent call last):
        droptime.errors.ConfigError: There is no setting 'epoch': did you mean 'epochs'?
        """
        known = [spec.name for spec in fields(cls)]
        for name in values:
            if name not in known:
                near = get_close_matches(name, known, n=2)
                hint = f"did you mean {' or '.join(map(repr, near))}?" if near else _all(known)
                raise ConfigError(f"There is no setting {name!r}: {hint}")
        if "data" not in values:
            raise ConfigError('No data given: set data to "digits", "folder:PATH" or a timm name.')
        return cls(**dict(values))  # type: ignore[arg-type]

    def differences(self, other: Mapping[str, JSON]) -> dict[str, str]:
        """Return one line, by its name, for each setting that is not the same in ``other``.

        A setting that ``other`` lacks has its default there: it is newer than ``other``.
        """
        own = self.to_dict()
        other = {name: _one_spelling(v) if name in _CURVES else v for name, v in other.items()}
        other = {**TrainConfig(data=self.data).to_dict(), **other}
        return {
            name: f"{name}: {other.get(name, 'absent')!r} there, {own.get(name, 'absent')!r} asked"
            for name in {**own, **other}
            if name not in own or name not in other or own[name] != other[name]
        }


def _one_spelling(curve: JSON) -> JSON:
    """Return a curve's text as ``str(curve)`` has it; anything else as it is."""
    try:
        return str(parse(curve)) if isinstance(curve, str) else curve
    except CurveError:
        return curve


def _all(known: list[str]) -> str:
    return f"the settings are {', '.join(known)}."


_CURVES = ("dropout", "drop_path")
_TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")
_FRACTION = Number(0, 1)
_RULES: Mapping[str, Rule] = {
    "data": Text(),
    "data_dir": Maybe(Text()),
    "download": Flag(),
    "train_split": Text(),
    "test_split": Text(),
    "data_seed": Whole(),
    "test_fraction": Number(0, 1, open_low=True, open_high=True),
    "train_limit": Maybe(Whole(1)),
    "test_limit": Maybe(Whole(1)),
    "image_size": Maybe(Whole(1)),
    "memory_gb": Number(0),
    "workers": Whole(),
    "model": Text(),
    "model_args": Arguments(),
    "weights": Maybe(Text()),
    "epochs": Whole(1),
    "batch_size": Whole(1),
    "accumulate": Whole(1),
    "lr": Number(0, open_low=True),
    "min_lr": Number(0),
    "warmup": Length(),
    "beta1": Number(0, 1, open_high=True),
    "beta2": Number(0, 1, open_high=True),
    "eps": Number(0, open_low=True),
    "weight_decay": Number(0),
    "smoothing": Number(0, 1, open_high=True),
    "mixup": Number(0),
    "cutmix": Number(0),
    "mix_chance": Number(0, 1, open_low=True),
    "cutmix_share": _FRACTION,
    "augment_on": OneOf(("device", "cpu")),
    "crop_padding": Whole(),
    "crop_scale": Maybe(Number(0, 1, open_low=True)),
    "flip": _FRACTION,
    "rand_augment": Maybe(RandAugmentText()),
    "erase": _FRACTION,
    "erase_with": OneOf(("mean", "noise")),
    "normalise": OneOf(("data", "imagenet", "half")),
    "test_crop": Number(0, 1, open_low=True),
    "clip_grad": Maybe(Number(0, open_low=True)),
    "ema_decay": Maybe(Number(0, 1, open_low=True, open_high=True)),
    "seed": Whole(),
    "arm": Text(),
    "dropout": Maybe(CurveText()),
    "drop_path": Maybe(CurveText()),
    "skip": OneOf(("no", "yes", "fixed")),
    "probe_every": Maybe(Whole(1)),
    "probe_batches": Whole(2),
    "probe_reference": Maybe(Whole(2)),
    "probe_groups": Maybe(Text()),
    "checkpoint_every": Whole(1),
    "checkpoint_minutes": Maybe(Number(0, open_low=True)),
    "keep_checkpoints": Whole(1),
    "skip_nonfinite": Whole(),
    "log_every": Whole(1),
    "eval_every": Whole(1),
    "mixed_precision": OneOf(("no", "bf16", "fp16")),
    "device": OneOf(("auto", "cpu")),
    "compile": Flag(),
    "channels_last": Flag(),
    "shard": Flag(),
    "trackers": Maybe(Names(_TRACKERS)),
}
