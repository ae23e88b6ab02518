"""Every site of real models is found, with its kind and state."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from droptime import DropScheduler, find_sites

TIMM: dict[str, tuple[dict[str, Any], dict[tuple[str, str], int]]] = {
    "vit_tiny_patch16_224": (
        {},
        {
            ("element", "open"): 1 + 12 * 3,
            ("attention", "open"): 12,
            ("drop_path", "closed"): 24,
            ("patch", "sealed"): 1,
            ("head", "open"): 1,
        },
    ),
    "vit_small_patch16_224": (
        {"drop_path_rate": 0.1, "patch_drop_rate": 0.1},
        {
            ("element", "open"): 37,
            ("attention", "open"): 12,
            ("drop_path", "closed"): 2,
            ("drop_path", "open"): 22,
            ("patch", "open"): 1,
            ("head", "open"): 1,
        },
    ),
    "convnext_femto": (
        {},
        {
            ("element", "open"): 24,
            ("drop_path", "closed"): 12,
            ("head", "open"): 1,
            ("head", "dead"): 1,
        },
    ),
    "swin_tiny_patch4_window7_224": (
        {},
        {
            ("element", "open"): 36,
            ("attention", "open"): 12,
            ("drop_path", "closed"): 2,
            ("drop_path", "open"): 22,
            ("head", "open"): 1,
        },
    ),
    "mixer_s32_224": (
        {},
        {("element", "open"): 32, ("drop_path", "closed"): 8, ("head", "open"): 1},
    ),
    "resnet18": (
        {"drop_block_rate": 0.1},
        {
            ("drop_block", "open"): 4,
            ("drop_block", "sealed"): 4,
            ("drop_path", "closed"): 8,
            ("head", "open"): 1,
        },
    ),
    "efficientnet_b0": (
        {"drop_path_rate": 0.2},
        {("drop_path", "open"): 15, ("drop_path", "closed"): 1, ("head", "open"): 1},
    ),
    "densenet121": ({}, {("element", "open"): 58, ("head", "open"): 1}),
    "efficientvit_m0": ({}, {("drop_path", "open"): 38, ("head", "open"): 1, ("head", "dead"): 1}),
}
TORCHVISION: dict[str, dict[tuple[str, str], int]] = {
    "vit_b_16": {("element", "open"): 37, ("attention", "open"): 12, ("head", "dead"): 2},
    "swin_t": {("element", "open"): 36, ("attention", "open"): 12, ("drop_path", "open"): 12},
    "convnext_tiny": {("drop_path", "open"): 18},
    "efficientnet_b0": {("drop_path", "open"): 16, ("head", "open"): 1},
    "densenet121": {("element", "open"): 58},
    "maxvit_t": {("element", "open"): 44, ("drop_path", "open"): 32, ("drop_path", "closed"): 1},
    "vgg11": {("head", "open"): 2},
    "googlenet": {("head", "open"): 3},
    "inception_v3": {("head", "open"): 1},
    "resnet18": {},
}


def _count(model: nn.Module) -> dict[tuple[str, str], int]:
    return dict(Counter((site.kind, str(site.state)) for site in find_sites(model)))


@pytest.mark.parametrize("name", TIMM)
def test_timm(name: str) -> None:
    arguments, expected = TIMM[name]
    with torch.device("meta"):
        model = timm.create_model(name, **arguments)
    assert _count(model) == expected


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name: str) -> None:
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, **options)
    assert _count(model) == TORCHVISION[name]


def test_torch_nn() -> None:
    model = nn.ModuleDict(
        {
            "plain": nn.Dropout(0.1),
            "channel": nn.Dropout2d(0.2),
            "alpha": nn.AlphaDropout(0.3),
            "attention": nn.MultiheadAttention(4, 2, dropout=0.4),
            "lstm": nn.LSTM(4, 4, num_layers=2, dropout=0.5),
            "gru": nn.GRU(4, 4),
            "layer": nn.TransformerEncoderLayer(4, 2, 8, dropout=0.6),
        }
    )
    found = {site.name: (site.kind, site.rate, site.state) for site in find_sites(model)}
    assert found == {
        "plain.p": ("element", 0.1, "open"),
        "channel.p": ("element", 0.2, "open"),
        "alpha.p": ("element", 0.3, "open"),
        "attention.dropout": ("attention", 0.4, "open"),
        "lstm.dropout": ("element", 0.5, "open"),
        "gru.dropout": ("element", 0.0, "dead"),
        "layer.self_attn.dropout": ("attention", 0.6, "open"),
        "layer.dropout.p": ("element", 0.6, "open"),
        "layer.dropout1.p": ("element", 0.6, "open"),
        "layer.dropout2.p": ("element", 0.6, "open"),
    }


def test_a_module_used_twice_is_one_site() -> None:
    drop = nn.Dropout(0.1)
    assert len(find_sites(nn.Sequential(drop, nn.Linear(2, 2), drop))) == 1


def test_wrappers_are_looked_through() -> None:
    model = nn.Sequential(nn.Dropout(0.1))
    assert find_sites(torch.compile(model)) == find_sites(model)  # type: ignore[arg-type]


class Functional(nn.Module):
    """Numbers named like rates, each read in another way."""

    def __init__(self) -> None:
        super().__init__()
        self.attn_drop = 0.1
        self.drop = 0
        self.record_drop = 0.3
        self.curious_drop = 0.4

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        p = self.attn_drop if self.training else 0.0
        return nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=p)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.dropout(self.attend(x), self.drop, self.training)
        return self.scaled(x)

    def scaled(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.curious_drop


def test_numbers_are_told_by_what_the_code_does_with_them() -> None:
    found = {site.name: (site.kind, site.state) for site in find_sites(nn.Sequential(Functional()))}
    assert found == {
        "0.attn_drop": ("attention", "open"),
        "0.drop": ("element", "open"),
        "0.record_drop": ("element", "dead"),
        "0.curious_drop": ("element", "unknown"),
    }


class OddName(nn.Module):
    """As transformers' Idefics: the rate's name does not say what it is."""

    def __init__(self) -> None:
        super().__init__()
        self.config, self.eps = 0.2, 0.1

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, p=self.config, training=self.training) + self.eps


def test_a_rate_of_any_name_is_known_by_the_call_that_it_stands_in() -> None:
    assert [site.name for site in find_sites(nn.Sequential(OddName()))] == ["0.config"]
    model = nn.Sequential(OddName())
    DropScheduler(model, dropout="standard(0.9)")
    assert (model(torch.ones(1000)) < 1).float().mean() > 0.8
