"""The training engine against a plain loop: the same weights, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F  # noqa: N812

from droptime.training import TrainConfig, train
from droptime.training.data import load_data
from droptime.training.data.stream import TrainStream
from droptime.training.seeds import derive

SETTINGS: dict[str, Any] = {
    "data": "digits",
    "train_limit": 96,
    "test_limit": 20,
    "model_args": {"img_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2},
    "epochs": 2,
    "batch_size": 16,
    "lr": 1e-2,
    "min_lr": 1e-4,
    "warmup": "3st",
    "weight_decay": 0.1,
    "device": "cpu",
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def plainly(config: TrainConfig, *, rate: float) -> dict[str, torch.Tensor]:
    data = load_data(config, expected_size=8, device=torch.device("cpu"))
    stream = TrainStream(data, config)
    with torch.random.fork_rng():
        torch.manual_seed(derive(config.seed, "model"))
        model = timm.create_model(config.model, num_classes=10, in_chans=1, **config.model_args)
        for name, module in model.named_modules():
            if isinstance(module, nn.Dropout) and name != "head_drop":
                module.p = rate
        spared = [p for n, p in model.named_parameters() if p.ndim <= 1 or "embed" in n[-9:]]
        spared += [p for n, p in model.named_parameters() if n in ("cls_token", "reg_token")]
        ids = {id(p) for p in spared}
        decayed = [p for p in model.parameters() if id(p) not in ids]
        unique = [p for p in model.parameters() if id(p) in ids]
        groups = [
            {"params": unique, "weight_decay": 0.0},
            {"params": decayed, "weight_decay": config.weight_decay},
        ]
        optimizer = torch.optim.AdamW(groups, fused=True)
        torch.manual_seed(derive(config.seed, "masks"))
        total = config.epochs * 6
        for step, (images, labels) in enumerate(stream.batches()):
            lr = config.lr * step / 2
            if step >= 3:
                fall = 1 + math.cos(math.pi * ((step - 3) / (total - 3)))
                lr = config.min_lr + (config.lr - config.min_lr) / 2 * fall
            for group in optimizer.param_groups:
                group["lr"] = lr
            loss = F.cross_entropy(model(images), labels, label_smoothing=config.smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if config.clip_grad is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_grad)
            optimizer.step()
    return dict(model.state_dict())


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("clip_grad", [None, 0.2])
def test_same_weights(tmp_path: Path, rate: float, clip_grad: float | None) -> None:
    curve = f"standard({rate})" if rate else None
    config = TrainConfig(**SETTINGS, dropout=curve, clip_grad=clip_grad)
    train(config, tmp_path)
    trained = load_file(tmp_path / "model.safetensors")
    twin = plainly(config, rate=rate)
    assert trained.keys() == twin.keys()
    for name, value in twin.items():
        assert torch.equal(trained[name], value), name
