from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from droptime.training.data.augment import Augment, random_crop, random_erase, random_flip
from droptime.training.data.mixing import Mixing
from droptime.training.data.rand_augment import RandAugment
from droptime.training.seeds import derive

IMAGES = torch.arange(60 * 3 * 8 * 6).remainder(251).to(torch.uint8).reshape(60, 3, 8, 6)
NEUTRAL = Augment(torch.zeros(3), torch.ones(3))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def crop_slowly(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    tops, lefts = torch.randint(2 * padding + 1, (2, len(images)), generator=generator).tolist()
    height, width = images.shape[2:]
    cropped = torch.zeros_like(images)
    for n, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        for row in range(height):
            for column in range(width):
                y, x = row + top - padding, column + left - padding
                if 0 <= y < height and 0 <= x < width:
                    cropped[n, :, row, column] = images[n, :, y, x]
    return cropped


def test_crop_equals_its_slow_twin() -> None:
    assert torch.equal(random_crop(IMAGES, 2, seeded()), crop_slowly(IMAGES, 2, seeded()))


def test_flip_mirrors_whole_images_with_its_chance() -> None:
    many = IMAGES[:1].expand(4000, -1, -1, -1)
    flipped = random_flip(many, 0.3, seeded())
    mirrored = (flipped == many.flip(3)).flatten(1).all(1)
    assert ((flipped == many).flatten(1).all(1) ^ mirrored).all()
    assert mirrored.float().mean().item() == pytest.approx(0.3, abs=0.03)


def test_erase_cuts_one_rectangle_with_its_chance() -> None:
    erased = random_erase(torch.ones(3000, 2, 24, 24), 0.25, seeded()) == 0
    assert torch.equal(erased[:, 0], erased[:, 1])
    mask = erased[:, 0]
    rows, columns = mask.any(2), mask.any(1)
    assert torch.equal(mask, rows[:, :, None] & columns[:, None, :])
    for line in (rows, columns):  # one interval: at most one beginning
        begins = line[:, 1:] & ~line[:, :-1]
        assert int((begins.sum(1) + line[:, 0]).max()) == 1
    hit = mask.flatten(1).any(1)
    assert hit.float().mean().item() == pytest.approx(0.25, abs=0.03)
    area = mask[hit].float().mean((1, 2))
    assert area.min() > 0.01
    assert area.max() < 0.36
    assert area.mean().item() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.02)


def test_erasing_with_noise_fills_the_same_rectangle() -> None:
    images = torch.ones(400, 2, 24, 24)
    plain = random_erase(images, 0.5, seeded())
    noisy = random_erase(images, 0.5, seeded(), noise=True)
    hit = plain == 0
    assert torch.equal(noisy != 1, hit)
    values = noisy[hit]
    assert abs(values.mean().item()) < 5 / math.sqrt(len(values))
    assert abs(values.std().item() - 1) < 5 / math.sqrt(2 * len(values))
    assert random_erase(images, 1.0, seeded(), noise=True).dtype == torch.float32


def test_rand_augment_and_crops_do_not_share_their_draws() -> None:
    """Both come from one seed: strong operations must not fall on the larger crops."""
    many = IMAGES[:1].expand(4000, -1, -1, -1).contiguous()
    draw = torch.Generator().manual_seed(derive(3, "rand_augment"))
    chosen = torch.randint(15, (4000,), generator=draw).float()
    area = torch.rand((4, 10, 4000), generator=seeded(3))[0, 0]
    correlation = torch.corrcoef(torch.stack([chosen, area]))[0, 1]
    assert abs(correlation.item()) < 5 / math.sqrt(4000)
    augment = replace(NEUTRAL, rand_augment=RandAugment.parse("rand-m9-mstd0.5-inc1"))
    changed = augment(many, seeded(3)) != NEUTRAL(many, seeded(3))
    share = changed.flatten(1).any(1).float().mean().item()
    assert 0.6 < share < 0.76  # 1 - (1 - 0.5)^2, less what changes nothing


def test_crops_see_parts_of_their_own_image() -> None:
    augment = replace(NEUTRAL, crop_scale=0.3)
    flat = torch.arange(60, dtype=torch.uint8)[:, None, None, None].expand(60, 3, 8, 6) * 4
    assert torch.equal(augment(flat.contiguous(), seeded()), flat.float())


def test_normalises_with_mean_and_deviation() -> None:
    augment = Augment(torch.tensor([10.0, 20.0, 30.0]), torch.tensor([1.0, 2.0, 4.0]))
    values = augment.normalise(IMAGES)
    assert values.dtype == torch.float32
    assert values[1, 2, 3, 4].item() == (IMAGES[1, 2, 3, 4].item() - 30) / 4


def test_settings_that_are_off_draw_nothing() -> None:
    generator = seeded()
    before = generator.get_state()
    assert torch.equal(NEUTRAL(IMAGES, generator), IMAGES.float())
    assert torch.equal(generator.get_state(), before)


def test_only_its_own_generator_is_drawn_from() -> None:
    augment = Augment(torch.zeros(3), torch.ones(3), crop_padding=1, flip=0.5, erase=0.5)
    state = torch.get_rng_state()
    first, again = augment(IMAGES, seeded()), augment(IMAGES, seeded())
    assert torch.equal(first, again)
    assert not torch.equal(first, augment(IMAGES, seeded(1)))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_mixing_is_decided_by_its_seed_alone(mixup: float, cutmix: float) -> None:
    mixing = Mixing(mixup=mixup, cutmix=cutmix, smoothing=0.1, classes=5)
    labels = torch.arange(60) % 5
    np.random.seed(3)
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    images, targets = mixing(IMAGES.float(), labels, 11)
    assert np.array_equal(np.random.get_state()[1], before)  # type: ignore[index]
    np.random.seed(4)
    again, same = mixing(IMAGES.float(), labels, 11)
    other, _ = mixing(IMAGES.float(), labels, 12)
    assert torch.equal(images, again)
    assert torch.equal(targets, same)
    assert not torch.equal(images, other)
    assert torch.allclose(targets.sum(1), torch.ones(60))


def test_how_many_batches_are_mixed_and_how() -> None:
    labels = torch.arange(60) % 5
    images = IMAGES.float()

    def counts(chance: float, switch: float) -> tuple[int, int]:
        """Of 200 batches: how many were mixed, and how many of those were cut."""
        mixing = Mixing(
            mixup=0.8, cutmix=1.0, smoothing=0.0, classes=5, chance=chance, switch=switch
        )
        mixed = cut = 0
        for seed in range(200):
            changed, _ = mixing(images.clone(), labels, seed)
            differs = changed != images
            mixed += bool(differs.any())
            # CutMix leaves the pixels around its rectangle as they were.
            cut += bool(differs.any()) and not bool(differs[..., 0, 0].any())
        return mixed, cut

    assert counts(1.0, 0.5)[0] > 180
    few, _ = counts(0.25, 0.5)
    assert abs(few - 50) < 5 * math.sqrt(200 * 0.25 * 0.75)
    _, never = counts(1.0, 0.0)
    assert never == 0
