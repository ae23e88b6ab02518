"""The paper's recipes: every setting, and lr and drop rate of every step, against tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from droptime.errors import ConfigError
from droptime.schedules import parse
from droptime.training import PAPER_ARMS, TrainConfig, basic, improved, late, paper_rate, with_arm
from droptime.training.step.optim import WarmupCosine
from droptime.types import Clock

IMAGES = 1_281_167
STEPS = IMAGES // 4096
EARLY = 50 * STEPS  # 15,600

BASIC: dict[str, Any] = {
    "image_size": 224,
    "epochs": 300,
    "batch_size": 4096,
    "lr": 4e-3,
    "min_lr": 1e-6,
    "warmup": "50ep",
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.05,
    "clip_grad": None,
    "ema_decay": None,
    "mixed_precision": "no",
    "crop_scale": 0.08,
    "crop_padding": 0,
    "flip": 0.5,
    "rand_augment": "rand-m9-mstd0.5-inc1",
    "erase": 0.25,
    "erase_with": "noise",
    "mixup": 0.8,
    "cutmix": 1.0,
    "mix_chance": 1.0,
    "cutmix_share": 0.5,
    "smoothing": 0.1,
    "normalise": "imagenet",
    "test_crop": 0.875,
    "dropout": None,
    "drop_path": None,
}


def settings(config: TrainConfig) -> dict[str, Any]:
    return {name: value for name, value in config.to_dict().items() if name in BASIC}


def test_basic_has_the_papers_settings() -> None:
    assert settings(basic("swin_f")) == BASIC
    assert basic("swin_f") == replace(basic(), model="swin_f")


def test_improved_is_twice_as_long_and_mixes_less() -> None:
    assert settings(improved()) == {**BASIC, "epochs": 600, "mixup": 0.3, "cutmix": 0.3}


def test_late_is_basic_with_late_stochastic_depth() -> None:
    curve = str(parse("late(0.4, since=50ep)"))
    assert late() == replace(basic("vit_b16"), drop_path=curve, arm="late-drop-path")


def lr_table(total: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The authors' table: numpy's linspace, then the cosine that never quite arrives."""
    falling = np.arange(total - EARLY) / (total - EARLY)
    return np.concatenate(
        [np.linspace(0, 4e-3, EARLY), 1e-6 + 0.5 * (4e-3 - 1e-6) * (1 + np.cos(np.pi * falling))]
    )


@pytest.mark.parametrize("recipe", [basic(), improved()])
def test_the_learning_rate_of_every_step(recipe: TrainConfig) -> None:
    clock = Clock(epochs=recipe.epochs, steps_per_epoch=STEPS)
    total = {300: 93_600, 600: 187_200}[recipe.epochs]
    assert clock.total_steps == total
    lr = WarmupCosine.of(recipe, clock)
    table = lr_table(total)
    got = np.array([lr(step) for step in range(total)])
    np.testing.assert_allclose(got, table, rtol=1e-12, atol=0)
    assert got[0] == 0.0
    assert got[EARLY - 1] == got[EARLY] == 4e-3
    assert got[-1] > 1e-6


def drop_table(arm: str, p: float, total: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    table = np.zeros(total)
    if arm.startswith("standard"):
        table[:] = p
    elif arm.startswith("early"):
        table[:EARLY] = np.linspace(p, 0, EARLY)
    elif arm.startswith("late"):
        table[EARLY:] = p
    return table


@pytest.mark.parametrize("arm", PAPER_ARMS)
@pytest.mark.parametrize("recipe", [basic(), improved()])
def test_the_drop_rate_of_every_step(recipe: TrainConfig, arm: str) -> None:
    config = with_arm(recipe, arm)
    total = config.epochs * STEPS
    clock = Clock(epochs=config.epochs, steps_per_epoch=STEPS)
    curves = [curve for curve in (config.dropout, config.drop_path) if curve is not None]
    assert len(curves) == (arm != "none")
    assert config.arm == arm
    for text in curves:
        schedule = parse(text).resolve(clock)
        got = np.array([schedule(step) for step in range(total)])
        table = drop_table(arm, paper_rate(arm, "vit_t16").rate, total)
        np.testing.assert_allclose(got, table, rtol=0, atol=2e-16)
        assert table.max() > 0


def test_rates_say_where_they_are_from() -> None:
    known = {
        ("early-dropout", "vit_t16"): (0.1, "verified"),
        ("early-drop-path", "vit_t16"): (0.5, "verified"),
        ("late-drop-path", "vit_b16"): (0.4, "verified"),
        ("standard-dropout", "vit_t16"): (0.1, "verified"),
        ("late-drop-path", "mixer_b16"): (0.2, "unverified"),
        ("early-drop-path", "swin_f"): (0.5, "unverified"),
        ("late-dropout", "vit_t16"): (0.1, "not in the paper"),
        ("standard-drop-path", "convnext_f"): (0.1, "reported"),
    }
    for (arm, model), expected in known.items():
        rate = paper_rate(arm, model)
        assert (rate.rate, rate.status) == expected


def test_an_arm_replaces_the_one_before() -> None:
    config = with_arm(with_arm(basic(), "early-drop-path"), "standard-dropout", rate=0.2)
    assert (config.dropout, config.drop_path) == (str(parse("standard(0.2)")), None)
    assert with_arm(config, "none").dropout is None


def test_arms_that_the_paper_has_not() -> None:
    with pytest.raises(ConfigError, match="did you mean early-dropout"):
        with_arm(basic(), "early-dropuot")
    with pytest.raises(ConfigError, match="stochastic depth only"):
        with_arm(basic("convnext_f"), "early-dropout")
    with pytest.raises(ConfigError, match="past the end"):
        with_arm(replace(basic(), epochs=20, warmup="1ep"), "early-dropout")
