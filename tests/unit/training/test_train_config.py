from __future__ import annotations

import json
from typing import Any

import pytest

from droptime.errors import ConfigError
from droptime.schedules import parse
from droptime.training import TrainConfig, digits


def test_json_gives_the_same_config_back() -> None:
    config = TrainConfig(
        data="folder:x", model_args={"depth": 3}, dropout="early(0.1, until=20%)", clip_grad=1.0
    )
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_what_is_left_out_keeps_its_default() -> None:
    assert TrainConfig.from_dict({"data": "digits"}) == TrainConfig(data="digits")


def test_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no setting 'batchsize': did you mean 'batch_size'"):
        TrainConfig.from_dict({"data": "digits", "batchsize": 3})


def test_unknown_setting_with_nothing_near_lists_all() -> None:
    with pytest.raises(ConfigError, match="the settings are data, data_dir"):
        TrainConfig.from_dict({"data": "digits", "zzz": 3})


def test_data_is_needed() -> None:
    with pytest.raises(ConfigError, match="No data given"):
        TrainConfig.from_dict({"epochs": 3})


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("epochs", 0, "whole number, at least 1"),
        ("epochs", True, "whole number"),
        ("epochs", 2.0, "whole number"),
        ("lr", 0, "above 0"),
        ("lr", float("nan"), "above 0"),
        ("lr", "0.1", "above 0"),
        ("smoothing", 1.0, r"in \[0, 1\)"),
        ("flip", 1.5, r"in \[0, 1\]"),
        ("ema_decay", 1.0, r"in \(0, 1\), or none"),
        ("clip_grad", 0.0, "above 0, or none"),
        ("warmup", "5", "not a duration"),
        ("warmup", 5, "not a duration"),
        ("mixed_precision", "fp8", "one of no, bf16, fp16"),
        ("compile", "yes", "true or false"),
        ("data", " ", "some text"),
        ("dropout", "early(0.1)", "dropout='early"),
        ("dropout", 0.1, "a curve as text"),
        ("drop_path", "early(1.2, until=3ep)", "drop_path="),
        ("model_args", {"depth": {1}}, "JSON values"),
        ("model_args", {3: 4}, "argument names"),
        ("model_args", [("depth", 3)], "argument names"),
        ("train_limit", 0, "at least 1, or none"),
        ("rand_augment", "rand-m9-mst0.5", "RandAugment in timm's spelling"),
        ("rand_augment", "rand-m9-p.8-inc1", "RandAugment in timm's spelling"),
        ("rand_augment", "original", "RandAugment in timm's spelling"),
        ("crop_scale", 0.0, r"in \(0, 1\], or none"),
        ("test_crop", 1.2, r"in \(0, 1\]"),
        ("mix_chance", 0.0, r"in \(0, 1\]"),
        ("erase_with", "pixel", "one of mean, noise"),
        ("normalise", "cifar", "one of data, imagenet, half"),
        ("augment_on", "gpu", "one of device, cpu"),
        ("skip", True, "one of no, yes, fixed"),
        ("beta2", 1.0, r"in \[0, 1\)"),
        ("dropout", "early(0.1, until=101ep)", "101ep is past the end of a run of 100 epochs"),
        ("drop_path", "late(0.1, since=101ep)", "101ep is past the end of a run of 100 epochs"),
    ],
)
def test_each_setting_says_what_it_expects(setting: str, value: Any, expected: str) -> None:
    values: dict[str, Any] = {"data": "digits", setting: value}
    with pytest.raises(ConfigError, match=f"{setting}=") as caught:
        TrainConfig(**values)
    assert caught.match(expected)


def test_the_pointer_into_a_curve_stands_alone_on_its_line() -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig(data="digits", dropout="early(0.1")
    assert str(caught.value) == (
        "dropout='early(0.1': expected ',' or ')', found the end of the text, or none.\n"
        "  early(0.1\n"
        "           ^"
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"batch_size": 10, "accumulate": 4}, "does not divide"),
        ({"lr": 1e-3, "min_lr": 1e-2}, "above lr"),
        ({"batch_size": 6, "accumulate": 2, "mixup": 0.1}, "3 images per backward pass are odd"),
        ({"batch_size": 7, "cutmix": 0.1}, "are odd"),
        ({"test_crop": 0.875}, "whole squares"),
        ({"rand_augment": "rand-m9"}, "Add -inc1"),
        ({"probe_groups": "layer"}, "does nothing without probe_every"),
        ({"probe_batches": 8}, "does nothing without probe_every"),
        ({"mix_chance": 0.5}, "does nothing without mixup or cutmix"),
        ({"mixup": 0.8, "cutmix_share": 0.3}, "does nothing without both mixup and cutmix"),
        ({"skip": "yes"}, "does nothing without drop_path"),
        (
            {"skip": "yes", "drop_path": "standard(0.1)", "compile": True},
            "every branch is computed and masked",
        ),
        ({"shard": True, "mixed_precision": "fp16"}, 'choose "bf16"'),
        ({"shard": True, "channels_last": True}, "FSDP2 takes no such weights"),
    ],
)
def test_combinations_that_cannot_work(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        TrainConfig(data="digits", **settings)


@pytest.mark.parametrize("setting", ["dropout", "drop_path"])
def test_a_curve_is_the_same_setting_however_it_is_spelled(setting: str) -> None:
    tight, loose = "early(0.2, until=50%)", "early(.20,until=50.0%)"
    config = TrainConfig.from_dict({"data": "digits", setting: loose})
    assert config == TrainConfig.from_dict({"data": "digits", setting: tight})
    assert config.to_dict()[setting] == str(parse(tight))
    assert config.differences({**config.to_dict(), setting: loose}) == {}
    assert len(config.differences({**config.to_dict(), setting: "early(0.1, until=50%)"})) == 1
    assert len(config.differences({**config.to_dict(), setting: "no curve"})) == 1


def test_differences_are_listed_by_name() -> None:
    there = {**digits().to_dict(), "epochs": 7, "old": 1}
    assert digits().differences(there) == {
        "epochs": "epochs: 7 there, 20 asked",
        "old": "old: 1 there, 'absent' asked",
    }
    assert digits().differences(digits().to_dict()) == {}


def test_a_setting_newer_than_the_other_has_its_default_there() -> None:
    older = digits().to_dict()
    del older["rand_augment"], older["beta2"]
    assert digits().differences(older) == {}
    changed = TrainConfig.from_dict({**digits().to_dict(), "beta2": 0.99})
    assert changed.differences(older) == {"beta2": "beta2: 0.999 there, 0.99 asked"}
