"""Fine-tuning: which weights a run begins with, and what it says when they do not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from droptime.errors import CheckpointError, ConfigError
from droptime.records import read_run
from droptime.training import TrainConfig, train
from droptime.training.models.build import make_model
from droptime.training.models.finetuning import SETS, finetune
from droptime.training.models.start import begin_with

Tiny = Callable[..., TrainConfig]
GREY = {"in_chans": 1}


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """Three classes of small grey pictures."""
    draw = np.random.default_rng(0)
    for label in range(3):
        folder = tmp_path / "shapes" / f"shape {label}"
        folder.mkdir(parents=True)
        for index in range(30):
            pixels = draw.integers(0, 80, (12, 12)).astype(np.uint8)
            pixels[4 * label : 4 * label + 4] += 120
            Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path / "shapes"


@pytest.fixture
def before(tiny: Tiny, tmp_path: Path) -> Path:
    train(tiny(epochs=1, dropout="early(0.2, until=50%)"), tmp_path / "before")
    return tmp_path / "before"


def built(config: TrainConfig, classes: int = 3) -> dict[str, Tensor]:
    torch.manual_seed(5)
    model = make_model(config, classes=classes, channels=1)
    begin_with(model, config, channels=1)
    return model.state_dict()


def test_a_run_on_other_data_begins_with_its_weights(
    before: Path, shapes: Path, tmp_path: Path
) -> None:
    config = finetune(str(before), data=f"folder:{shapes}")
    config = replace(
        config,
        model_args={**config.model_args, **GREY},
        epochs=10,
        batch_size=18,
        lr=1e-2,
        crop_scale=None,
        device="cpu",
    )
    assert (config.dropout, config.drop_path) == (None, None)
    summary = train(config, tmp_path / "after")
    assert summary.final.train_accuracy > 0.6
    trained = load_file(tmp_path / "after" / "model.safetensors")
    assert trained["head.weight"].shape == (3, 16)
    assert train(config, tmp_path / "after") == summary
    again = replace(config, epochs=2)
    with pytest.raises(ConfigError, match="epochs: 10 there, 2 asked"):
        train(again, tmp_path / "after")
    assert read_run(tmp_path / "after").arm == "finetune"


def test_all_weights_but_the_classifiers(before: Path) -> None:
    config = finetune(str(before), data="folder:x")
    old, new = load_file(before / "model.safetensors"), built(config)
    for name, value in new.items():
        if not name.startswith("head."):
            assert torch.equal(value, old[name]), name
    torch.manual_seed(5)
    fresh = make_model(config, classes=3, channels=1).state_dict()
    assert torch.equal(new["head.weight"], fresh["head.weight"])
    # The same number of classes does not keep the old classifier.
    assert not torch.equal(built(config, classes=10)["head.weight"], old["head.weight"])


def test_the_average_or_a_file_elsewhere(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(epochs=1, ema_decay=0.5), tmp_path / "run")
    average = tmp_path / "run" / "ema.safetensors"
    config = finetune(str(average), data="folder:x")
    expected = load_file(average)["blocks.0.norm1.weight"]
    assert torch.equal(built(config)["blocks.0.norm1.weight"], expected)
    elsewhere = tmp_path / "elsewhere.safetensors"
    save_file(load_file(average), elsewhere)
    with pytest.raises(ConfigError, match="give the model"):
        finetune(str(elsewhere), data="folder:x")
    config = finetune(str(elsewhere), data="folder:x", model="vit_tiny_patch16_224")
    config = replace(config, model_args=tiny().model_args)
    assert torch.equal(built(config)["blocks.0.norm1.weight"], expected)


def test_positions_are_resampled_for_another_size(before: Path) -> None:
    config = finetune(str(before), data="folder:x")
    larger = replace(config, model_args={**config.model_args, "img_size": 16})
    old, new = load_file(before / "model.safetensors"), built(larger)
    assert old["pos_embed"].shape == (1, 5, 16)
    assert new["pos_embed"].shape == (1, 17, 16)
    assert torch.equal(new["pos_embed"][:, 0], old["pos_embed"][:, 0])
    was, now = (state["pos_embed"][:, 1:].mean((0, 1)) for state in (old, new))
    assert torch.allclose(was, now, atol=2e-3)


def test_weights_that_do_not_fit(before: Path, tmp_path: Path) -> None:
    config = finetune(str(before), data="folder:x")

    def refused(**changes: Any) -> str:
        with pytest.raises(ConfigError) as caught:
            built(replace(config, **changes))
        return str(caught.value)

    args = config.model_args
    assert "they lack blocks.2.norm1.weight" in refused(model_args={**args, "depth": 3})
    assert "it has not, blocks.1." in refused(model_args={**args, "depth": 1})
    wide = refused(model_args={**args, "embed_dim": 32})
    assert "cls_token is 1 x 1 x 16 there and 1 x 1 x 32 here" in wide
    assert "more" in wide
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(b"no")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        built(replace(config, weights=str(torn)))


SMALL: dict[str, dict[str, Any]] = {
    "vit_t16": {"depth": 1},
    "mixer_s32": {},
    "swin_f": {"depths": [1, 1, 1, 1]},
    "convnext_f": {"depths": [1, 1, 1, 1]},
}


@pytest.mark.parametrize("name", SMALL)
def test_every_model_of_the_paper_gets_a_new_head(name: str, tmp_path: Path) -> None:
    config = TrainConfig(
        data="folder:x", model=name, model_args=SMALL[name], weights=str(tmp_path / "w.safetensors")
    )
    torch.manual_seed(0)
    old = make_model(config, classes=5, channels=3).state_dict()
    save_file(old, tmp_path / "w.safetensors")
    torch.manual_seed(1)
    model = make_model(config, classes=7, channels=3)
    begin_with(model, config, channels=3)
    differing = [
        key
        for key, value in model.state_dict().items()
        if value.shape != old[key].shape or not torch.equal(value, old[key])
    ]
    head = "head.fc" if name in ("swin_f", "convnext_f") else "head"
    assert differing == [f"{head}.weight", f"{head}.bias"]


def test_timms_own_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    config = finetune("resnet10t", data="pets")
    assert (config.data, config.weights, config.normalise) == (SETS["pets"], "timm", "imagenet")
    assert finetune("vit_tiny_patch16_224", data="pets").normalise == "half"
    assert finetune("resnet10t", data="x", random=True).weights is None
    original = timm.create_model

    def offline(name: str, *, pretrained: bool = False, **args: Any) -> nn.Module:
        if pretrained:
            raise OSError("no route to host\nand more")
        model: nn.Module = original(name, **args)
        return model

    def known(name: str, *, pretrained: bool = False, **args: Any) -> nn.Module:
        model: nn.Module = original(name, **args)
        if pretrained:
            nn.init.constant_(model.get_submodule("conv1.0").weight, 0.25)  # type: ignore[arg-type]
        return model

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ConfigError, match=r"cannot be had \(no route to host\).*run directory"):
        built(config)
    monkeypatch.setattr(timm, "create_model", known)
    state = built(config)
    assert (state["conv1.0.weight"] == 0.25).all()
    assert state["fc.weight"].shape[0] == 3
    with pytest.raises(ConfigError, match="no weights of the paper's vit_t16"):
        built(replace(config, model="vit_t16"))


def test_what_would_do_nothing_is_refused(before: Path) -> None:
    with pytest.raises(ConfigError, match="random=True is for a timm model's name"):
        finetune(str(before), data="pets", random=True)
    with pytest.raises(ConfigError, match="resnet18 and resnet34 are two models"):
        finetune("resnet18", data="pets", model="resnet34", random=True)


def test_what_is_nothing_to_start_from(tmp_path: Path, before: Path) -> None:
    for start in (str(tmp_path / "nothing"), "lost.safetensors"):
        with pytest.raises(ConfigError, match="is no run directory and no file"):
            finetune(start, data="pets")
    with pytest.raises(ConfigError, match="no model 'resnet10z'"):
        finetune("resnet10z", data="pets")
    with pytest.raises(ConfigError, match="is a run of vit_tiny_patch16_224, not of resnet18"):
        finetune(str(before), data="pets", model="resnet18")
