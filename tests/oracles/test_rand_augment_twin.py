"""RandAugment of a batch against timm's, image by image; crops against timm's by their law."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import auto_augment
from timm.data.auto_augment import AugmentOp, rand_augment_transform
from timm.data.transforms import RandomResizedCropAndInterpolation
from torch import Tensor

from droptime.training.data.rand_augment import OPERATIONS, Operation, RandAugment
from droptime.training.data.warps import random_resized_crop, warp

FILL = (124, 116, 104)
SIDE = 24
COUNT = 60
WARPS = ("Rotate", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel")


def pictures() -> Tensor:
    """Smooth and noisy pictures, dark and bright ones, one flat, uint8 ``[n, 3, side, side]``."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(COUNT, 3, 5, 5, generator=draw)
    smooth = torch.nn.functional.interpolate(coarse, SIDE, mode="bicubic").clamp(0, 1)
    noise = torch.rand(COUNT, 3, SIDE, SIDE, generator=draw)
    share = torch.rand(COUNT, 1, 1, 1, generator=draw) * 0.5
    contrast = torch.rand(COUNT, 1, 1, 1, generator=draw)
    values = ((1 - share) * smooth + share * noise) * contrast
    values[0] = 0.3
    return (values * 255).to(torch.uint8)


def by_timm(name: str, image: Tensor, level: float, sign: float) -> Tensor:
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    hparams = {"img_mean": FILL, "interpolation": Image.Resampling.BILINEAR}
    operation = AugmentOp(name, prob=1.0, magnitude=level, hparams=hparams)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auto_augment, "_randomly_negate", lambda value: value * sign)
        if name.startswith("Posterize") and level == 10:
            return torch.zeros_like(image)  # no bit is kept; newer Pillow refuses
        return torch.from_numpy(np.array(operation(picture))).permute(2, 0, 1)


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_timms(name: str) -> None:
    draw = torch.Generator().manual_seed(1)
    images, level = pictures(), torch.rand(COUNT, generator=draw) * 10
    level[:2] = torch.tensor([0.0, 10.0])
    sign = 1.0 - 2.0 * (torch.rand(COUNT, generator=draw) > 0.5)
    ours = OPERATIONS[name](images, level, sign, torch.tensor(FILL, dtype=torch.float32))
    each = zip(images, level.tolist(), sign.tolist(), strict=True)
    theirs = torch.stack([by_timm(name, *one) for one in each])
    if name not in WARPS:
        assert torch.equal(ours, theirs)
        return
    # Where an edge of the image comes in, Pillow takes the nearest pixel: compare the rest.
    inside = seen_inside(name, level, sign)
    outside = seen_outside(name, level, sign)
    assert inside.float().mean() > 0.4
    difference = (ours.int() - theirs.int()).abs().amax(1, keepdim=True)
    assert int(difference[inside].max()) <= 1
    assert int(difference[outside].max()) == 0


def shown(name: str, level: Tensor, sign: Tensor, *, margin: int) -> Tensor:
    """Where the operation shows a white square that leaves out ``margin`` pixels of the edge."""
    white = torch.zeros(COUNT, 1, SIDE, SIDE, dtype=torch.uint8)
    if margin < 0:
        white += 255
    else:
        white[..., margin : SIDE - margin, margin : SIDE - margin] = 255
    return OPERATIONS[name](white, level, sign, torch.zeros(1))


def seen_inside(name: str, level: Tensor, sign: Tensor) -> Tensor:
    return shown(name, level, sign, margin=2) == 255


def seen_outside(name: str, level: Tensor, sign: Tensor) -> Tensor:
    return shown(name, level, sign, margin=-1) == 0


def test_odds_and_strengths_are_timms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count operations and look at their levels; both follow one binomial and one normal law."""
    text = "rand-m8-mstd0.5-inc1-n3-p0.4"
    ours, theirs = RandAugment.parse(text), rand_augment_transform(text, {"img_mean": FILL})
    assert [op.name for op in theirs.ops] == list(OPERATIONS)
    assert (theirs.num_layers, theirs.ops[0].prob, theirs.ops[0].magnitude) == (3, 0.4, 8)
    assert theirs.ops[0].magnitude_std == 0.5
    calls: dict[str, list[Tensor]] = {name: [] for name in OPERATIONS}

    def noting(name: str, images: Tensor, level: Tensor) -> Tensor:
        calls[name].append(level)
        return images

    def quietly(name: str) -> Operation:
        return lambda images, level, sign, fill: noting(name, images, level)

    quiet = {name: quietly(name) for name in OPERATIONS}
    monkeypatch.setattr("droptime.training.data.rand_augment.OPERATIONS", quiet)
    many = 20_000
    ours(torch.zeros(many, 3, 2, 2, dtype=torch.uint8), 5, fill=torch.zeros(3))
    share = 0.4 / len(OPERATIONS)
    for levels in calls.values():
        count = sum(map(len, levels))
        assert abs(count - 3 * many * share) < 5 * math.sqrt(3 * many * share * (1 - share))
    level = torch.cat([one for levels in calls.values() for one in levels])
    assert abs(level.mean().item() - 8) < 5 * 0.5 / math.sqrt(len(level))
    assert abs(level.std().item() - 0.5) < 5 * 0.5 / math.sqrt(2 * len(level))


def test_the_seed_alone_decides() -> None:
    images, ours = pictures(), RandAugment.parse("rand-m9-mstd0.5-inc1")
    fill = torch.zeros(3)
    state = torch.get_rng_state()
    first, again, other = (ours(images, seed, fill=fill) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, pictures())
    assert torch.equal(torch.get_rng_state(), state)


def test_crops_have_the_law_of_timms() -> None:
    """Area, aspect and place of the crops: means agree within 5 standard errors."""
    many, height, width = 2000, 40, 56
    ramp_x = (torch.arange(width) * 4).expand(height, width)
    ramp_y = (torch.arange(height) * 6)[:, None].expand(height, width)
    images = torch.stack([ramp_x, ramp_y, ramp_x]).to(torch.uint8).expand(many, 3, height, width)
    cut = random_resized_crop(images, 0.3, torch.Generator().manual_seed(0)).double()
    middle_x, middle_y = cut[:, 0, :, 8:-8].mean((1, 2)) / 4, cut[:, 1, 8:-8].mean((1, 2)) / 6
    across = (cut[:, 0, 20, 40] - cut[:, 0, 20, 16]) / 4 / 24 * width
    down = (cut[:, 1, 28, 20] - cut[:, 1, 12, 20]) / 6 / 16 * height
    random.seed(0)
    image = Image.new("L", (width, height))
    boxes = torch.tensor(
        [
            RandomResizedCropAndInterpolation.get_params(image, (0.3, 1), (3 / 4, 4 / 3))
            for _ in range(many)
        ],
        dtype=torch.float64,
    )
    top, left, rows, columns = boxes.T
    pairs = [
        (across, columns),
        (down, rows),
        (across * down, columns * rows),
        (middle_x, left + columns / 2 - 0.5),
        (middle_y, top + rows / 2 - 0.5),
    ]
    for ours, theirs in pairs:
        error = math.sqrt((ours.var() + theirs.var()).item() / many)
        assert abs(ours.mean() - theirs.mean()).item() < 5 * error


def test_a_map_that_changes_nothing_changes_nothing() -> None:
    same = torch.eye(2, 3).expand(COUNT, 2, 3)
    for mode in ("bilinear", "bicubic"):
        assert torch.equal(warp(pictures(), same, fill=torch.zeros(3), mode=mode), pictures())
