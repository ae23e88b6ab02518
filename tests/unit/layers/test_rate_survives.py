"""The rate stays right, and float32, through everything that is done to models."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn

from droptime.layers import Dropout, DropPath, TensorRate, hold_float

P = 0.1  # not representable in float16 or bfloat16: a cast would show


class Attention(nn.Module):
    """A float handed to a dropout function, as in torchvision's and transformers' models."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(4, 4)
        self.attention_dropout = P

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.proj(x)
        p = self.attention_dropout if self.training else 0.0
        return nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=p)


def _model() -> nn.Sequential:
    attention = Attention()
    hold_float(attention, "attention_dropout")
    return nn.Sequential(nn.Linear(4, 4), Dropout(P), DropPath(P), attention)


def _save_and_load(model: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    loaded: nn.Module = torch.load(buffer, weights_only=False)
    return loaded


def _from_meta(model: nn.Module) -> nn.Module:
    return model.to("meta").to_empty(device="cpu")


TREATMENTS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "to": lambda model: model.to("cpu"),
    "half": lambda model: model.half(),
    "bfloat16": lambda model: model.bfloat16(),
    "double": lambda model: model.double(),
    "to dtype": lambda model: model.to(torch.bfloat16),
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "torch.save": _save_and_load,
    "to_empty": _from_meta,
    "half and back": lambda model: model.half().float(),
}


@pytest.mark.parametrize("name", TREATMENTS)
def test_rate_survives(name: str) -> None:
    model = TREATMENTS[name](_model())
    rates = [module for module in model.modules() if isinstance(module, TensorRate)]
    assert len(rates) == 3
    for rate in rates:
        assert rate.p == P
        assert rate.rate.dtype == torch.float32
        assert rate.rate.item() == torch.tensor(P).item()
        rate.p = 0.5
        assert rate.rate.item() == 0.5
    assert model[3].attention_dropout == 0.5  # type: ignore[index]


@pytest.mark.parametrize("name", TREATMENTS)
def test_rate_is_no_part_of_the_state_dict(name: str) -> None:
    keys = {"0.weight", "0.bias", "3.proj.weight", "3.proj.bias"}
    assert set(TREATMENTS[name](_model()).state_dict()) == keys


def test_copies_are_independent() -> None:
    model = _model()
    twin = copy.deepcopy(model)
    model[1].p = 0.7  # type: ignore[assignment]
    model[3].attention_dropout = 0.7  # type: ignore[assignment]
    assert twin[1].p == P
    assert twin[3].attention_dropout == P


@pytest.mark.parametrize("layer", [Dropout(0.5), DropPath(0.5)])
def test_autocast_keeps_dtype_and_expectation(layer: nn.Module) -> None:
    x = torch.ones(20_000, 2, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    assert set(y.unique().tolist()) == {0.0, 2.0}
    assert abs(y.float().mean().item() - 1) < 0.05
