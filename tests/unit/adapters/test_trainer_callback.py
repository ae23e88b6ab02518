"""The callback of the Hugging Face Trainer: its clock, its state, its refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from droptime import Clock, parse
from droptime.adapters.huggingface import DropSchedule
from droptime.errors import CurveSyntaxError, StateError

EARLY = "early(0.5, until=50%, shape=constant)"


class _Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.125)
        self.net = nn.Sequential(nn.Linear(2, 2), self.drop)
        self.rates: list[float] = []

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.rates.append(self.drop.p)
        return {"loss": self.net(x).sum()}


class _Stop(TrainerCallback):  # type: ignore[misc]
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_training_stop = state.global_step == 3


def _train(
    folder: Path, *callbacks: TrainerCallback, resume: bool = False, **arguments: Any
) -> list[float]:
    model = _Model()
    settings = {
        "num_train_epochs": 2,
        "per_device_train_batch_size": 1,
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "save_strategy": "no",
        "remove_unused_columns": False,
        **arguments,
    }
    data = [{"x": torch.ones(2)}] * 5
    trainer = Trainer(
        model,
        TrainingArguments(output_dir=str(folder), **settings),
        train_dataset=data,
        callbacks=list(callbacks),
    )
    trainer.train(resume_from_checkpoint=resume)
    assert type(model.drop) is nn.Dropout
    assert model.drop.p == 0.125
    return model.rates


def _state(folder: Path, step: int) -> dict[str, Any]:
    text = (folder / f"checkpoint-{step}" / "trainer_state.json").read_text(encoding="utf-8")
    state: dict[str, Any] = json.loads(text)
    return state


def test_half_of_the_run_is_half_of_its_optimizer_steps(tmp_path: Path) -> None:
    callback = DropSchedule(dropout=EARLY)
    rates = _train(tmp_path, callback, gradient_accumulation_steps=2)
    assert rates == [0.5] * 5 + [0.0] * 5  # 5 batches are 3 steps: 2 + 2 + 1
    assert callback.drop is not None
    assert str(callback.drop.clock) == "Clock(steps_per_epoch=3, total_steps=6)"


def test_without_a_curve_the_variable_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DROPTIME", "dropout=standard(0.25)")
    assert _train(tmp_path, DropSchedule()) == [0.25] * 10


def test_a_callback_trains_twice(tmp_path: Path) -> None:
    callback = DropSchedule(dropout=EARLY)
    assert _train(tmp_path, callback) == _train(tmp_path, callback)


@pytest.mark.parametrize("restore", [False, True])
def test_the_state_is_in_trainer_state_json(tmp_path: Path, restore: bool) -> None:
    saving: dict[str, Any] = {"save_strategy": "steps", "save_steps": 3}
    clock = Clock(epochs=2, steps_per_epoch=5)
    first = _train(tmp_path, DropSchedule(dropout=EARLY, clock=clock), _Stop(), **saving)
    entry = _state(tmp_path, 3)["stateful_callbacks"]["DropSchedule"]
    assert entry["args"]["dropout"] == EARLY
    assert entry["attributes"]["saved"]["step"] == 3
    second = _train(
        tmp_path,
        DropSchedule(dropout=EARLY, clock=clock),
        resume=True,
        restore_callback_states_from_checkpoint=restore,
    )
    assert first + second == [0.5] * 5 + [0.0] * 5


def test_other_curves_are_refused(tmp_path: Path) -> None:
    _train(tmp_path, DropSchedule(dropout=EARLY), _Stop(), save_strategy="steps", save_steps=3)
    with pytest.raises(StateError, match="dropout: saved early"):
        _train(tmp_path, DropSchedule(dropout="standard(0.1)"), resume=True)


def test_a_checkpoint_without_a_schedule_is_refused(tmp_path: Path) -> None:
    _train(tmp_path, _Stop(), save_strategy="steps", save_steps=3)
    with pytest.raises(StateError, match="without the state of a DropSchedule"):
        _train(tmp_path, DropSchedule(dropout=EARLY), resume=True)


def test_a_function_is_saved_by_name_and_not_restored_from_it() -> None:
    state = DropSchedule(rates={"element": lambda step: 0.1}).state()
    assert json.loads(json.dumps(state)) == state
    with pytest.raises(CurveSyntaxError, match="no text to read back"):
        parse(state["args"]["rates"]["element"])
