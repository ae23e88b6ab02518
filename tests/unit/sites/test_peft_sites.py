"""PEFT: the dropout inside adapters is a kind of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from droptime import Clock, DropScheduler, find_sites, verify

peft = pytest.importorskip("peft")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.a, self.b = nn.Embedding(10, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.b(self.dropout(torch.relu(self.a(self.table(x)))))
        return out


def _adapted(config: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    settings = {"target_modules": ["a", "b"]} | settings
    return peft.get_peft_model(Net(), getattr(peft, config)(**settings)).train()


def _found(model: nn.Module) -> set[tuple[str, str]]:
    return {(site.attribute, str(site.state)) for site in find_sites(model) if site.kind == "lora"}


CASES: dict[str, tuple[str, dict[str, Any], set[tuple[str, str]]]] = {
    "closed": ("LoraConfig", {}, {("p", "closed")}),
    "open": ("LoraConfig", {"lora_dropout": 0.1}, {("p", "open")}),
    "DoRA": ("LoraConfig", {"use_dora": True}, {("p", "closed")}),
    "AdaLoRA": ("AdaLoraConfig", {"total_step": 10}, {("p", "closed")}),
    "LoHa": (
        "LoHaConfig",
        {"rank_dropout": 0.1},
        {("rank_dropout[default]", "open"), ("module_dropout[default]", "open")},
    ),
    "LoKr": (
        "LoKrConfig",
        {"module_dropout": 0.1},
        {("rank_dropout[default]", "open"), ("module_dropout[default]", "open")},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_adapter_dropout_is_found_and_acts(name: str) -> None:
    config, settings, expected = CASES[name]
    model = _adapted(config, **settings)
    assert _found(model) == expected
    assert {proof.verdict for proof in verify(model, torch.arange(6).view(2, 3)).proofs} == {"acts"}


@pytest.mark.parametrize("name", CASES)
def test_lora_is_driven_by_its_own_curve_and_given_back(name: str) -> None:
    config, settings, _ = CASES[name]
    model = _adapted(config, **settings)
    before, keys = find_sites(model), list(model.state_dict())
    drop = DropScheduler(model, dropout="standard(0.2)", clock=Clock(total_steps=4))
    assert {row.site.kind for row in drop.plan.driven("dropout")} == {"element"}
    drop.close()
    drop = DropScheduler(model, rates={"lora": "standard(0.3)"}, clock=Clock(total_steps=4))
    assert {site.rate for site in find_sites(model) if site.kind == "lora"} == {0.3}
    assert list(model.state_dict()) == keys
    drop.close()
    assert find_sites(model) == before


def test_each_adapter_of_a_layer_has_its_own_site() -> None:
    model = _adapted("LoraConfig", lora_dropout=0.1)
    model.add_adapter("second", peft.LoraConfig(target_modules=["a"], r=2, lora_dropout=0.2))
    rates = {s.path.split("model.", 2)[-1]: s.rate for s in find_sites(model) if s.kind == "lora"}
    assert rates == {
        "a.lora_dropout.default": 0.1,
        "a.lora_dropout.second": 0.2,
        "b.lora_dropout.default": 0.1,
    }


def test_what_no_layer_calls_is_dead() -> None:
    embedding = _adapted("LoraConfig", target_modules=["table"], lora_dropout=0.1)
    assert _found(embedding) == {("p", "dead")}  # its layer has the module and does not call it
