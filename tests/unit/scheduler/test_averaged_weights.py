"""Averages of weights, evaluation and wrappers see a driven model as the model it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from droptime import Clock, DropScheduler, early

CLOCK = Clock(total_steps=6)
DECAY = 0.5


class _Branch(nn.Module):
    """Dropout, batch statistics and a drop-path placeholder, in an order that mixes them."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.1)
        self.norm = nn.BatchNorm1d(4)
        self.drop_path = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch: torch.Tensor = self.drop_path(self.norm(self.drop(x)))
        return x + branch


def _model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), _Branch(), _Branch(), nn.Linear(4, 2))


def _drive(model: nn.Module) -> DropScheduler:
    return DropScheduler(
        model, dropout=early(0.5, until="4st"), drop_path=early(0.4, until="4st"), clock=CLOCK
    )


def _torch(model: nn.Module) -> Any:
    average = get_ema_multi_avg_fn(DECAY)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=average, use_buffers=True)


def _timm(model: nn.Module) -> Any:
    return ModelEmaV3(model, decay=DECAY)


AVERAGES: dict[str, tuple[Callable[[nn.Module], Any], Callable[[Any, nn.Module], None]]] = {
    "torch AveragedModel": (_torch, lambda ema, model: ema.update_parameters(model)),
    "timm ModelEmaV3": (_timm, lambda ema, model: ema.update(model)),
}


@pytest.mark.parametrize("copied", ["before it is driven", "while it is driven"])
@pytest.mark.parametrize("name", AVERAGES)
def test_an_average_pairs_every_tensor_with_its_own(name: str, copied: str) -> None:
    average, update = AVERAGES[name]
    model = _model()
    if copied.startswith("before"):
        ema = average(model)
        drop = _drive(model)
    else:
        drop = _drive(model)
        ema = average(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for step in range(4):
        model(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
        drop.step()
        update(ema, model)
        for key, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                continue
            first = step == 0 and name.startswith("torch")  # torch copies at its first update
            expected[key].lerp_(tensor, 1.0 if first else 1 - DECAY)
    for key, tensor in ema.module.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, expected[key], msg=key)


def test_a_copy_keeps_the_rate_it_was_copied_with() -> None:
    model = _model()
    drop = _drive(model)
    ema = _timm(model)
    for _ in range(4):
        drop.step()
    assert model[1].drop.p == 0.0  # type: ignore[index]
    assert ema.module[1].drop.p == 0.5
    x = torch.randn(8, 4)
    assert torch.equal(ema.module(x), ema.module(x))


def test_no_parameter_and_no_buffer_is_added() -> None:
    model = _model()
    parameters = [name for name, _ in model.named_parameters()]
    buffers = [name for name, _ in model.named_buffers()]
    drop = _drive(model)
    assert [name for name, _ in model.named_parameters()] == parameters
    assert [name for name, _ in model.named_buffers()] == buffers
    drop.close()


def test_evaluation_is_that_of_the_model_itself() -> None:
    model = _model().eval()
    x = torch.randn(8, 4)
    before = model(x)
    _drive(model)
    assert torch.equal(model(x), before)
