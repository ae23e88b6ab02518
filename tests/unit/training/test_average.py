"""The average of weights: timm's as its twin, and weights that have two names."""

from __future__ import annotations

from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from droptime.training.step.average import WeightAverage


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(self.norm(self.first(x)))
        return out


def test_the_average_is_timms_and_the_weights_come_back() -> None:
    torch.manual_seed(0)
    model = Tied()
    twin: Any = ModelEmaV3(model, decay=0.9)
    average, tied = WeightAverage(model, decay=0.9), model.first.weight.detach().clone()
    for _ in range(3):
        model(torch.randn(4, 3))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update()
        twin.update(model)
        tied.lerp_(model.first.weight.detach(), 0.1)
    own = {name: value.clone() for name, value in model.state_dict().items()}
    for _ in range(2):
        with average.in_place():
            assert torch.allclose(model.first.weight, tied)  # timm moves it once for each name
            for name, value in twin.module.state_dict().items():
                if name not in ("first.weight", "second.weight"):
                    assert torch.equal(model.state_dict()[name], value), name
        assert all(torch.equal(value, own[name]) for name, value in model.state_dict().items())
