from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from droptime.training.data.augment import Augment, random_crop, random_erase, random_flip
from droptime.training.data.mixing import Mixing

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
