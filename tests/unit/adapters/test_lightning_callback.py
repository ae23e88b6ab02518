"""The Lightning callback: its clock, its refusals, and the model afterwards."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from droptime.adapters.lightning import DropSchedule
from droptime.errors import ClockError, StateError

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated"),
    pytest.mark.filterwarnings("ignore:`lr_scheduler.step"),
]
EARLY = "early(0.5, until=50%, shape=constant)"


class _Stream(torch.utils.data.IterableDataset[Tensor]):
    """Four batches, without saying so."""

    def __iter__(self) -> Iterator[Tensor]:
        return iter(torch.ones(4, 2))


class Fit:
    """One fit by either of Lightning's two packages; the rate at each of its forwards."""

    def __init__(
        self, callback: DropSchedule | None, *, library: str = "lightning.pytorch", **settings: Any
    ) -> None:
        lightning = importlib.import_module(library)
        fit = self
        self.rates: list[float] = []
        self.drop = nn.Dropout(0.125)
        self.net = nn.Sequential(nn.Linear(2, 2), self.drop)
        self.dies_after = 99

        class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.net = fit.net

            def training_step(self, batch: Tensor, index: int) -> Tensor:
                if len(fit.rates) >= fit.dies_after:
                    raise KeyError("a fault in the user's code")
                fit.rates.append(float(fit.drop.p))
                loss: Tensor = self.net(batch).sum()
                return loss

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.SGD(self.parameters(), lr=0.1)

        quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
        settings = {
            "accelerator": "cpu",
            "max_epochs": 2,
            **dict.fromkeys(quiet, False),
            **settings,
        }
        self.trainer = lightning.Trainer(callbacks=[callback] if callback else [], **settings)
        self.module = Module()

    def run(self, data: Any = None, checkpoint: Path | None = None) -> list[float]:
        data = torch.utils.data.DataLoader([torch.ones(2)] * 5) if data is None else data  # type: ignore[arg-type]
        self.trainer.fit(self.module, data, ckpt_path=checkpoint)
        return self.rates


@pytest.mark.parametrize("library", ["lightning.pytorch", "pytorch_lightning"])
def test_half_of_the_run_is_half_of_its_optimizer_steps(library: str) -> None:
    callback = DropSchedule(dropout=EARLY)
    fit = Fit(callback, library=library, accumulate_grad_batches=2)
    assert fit.run() == [0.5] * 5 + [0.0] * 5  # 5 batches are 3 steps: 2 + 2 + 1
    assert callback.drop is not None
    assert callback.drop.last_step == fit.trainer.global_step == 6
    assert str(callback.drop.clock) == "Clock(steps_per_epoch=3, total_steps=6)"


def test_the_model_is_given_back() -> None:
    fit = Fit(DropSchedule(dropout=EARLY))
    fit.run()
    assert type(fit.drop) is nn.Dropout
    assert fit.drop.p == 0.125


def test_the_model_is_given_back_after_a_fault_and_fits_again() -> None:
    callback = DropSchedule(dropout=EARLY)
    fit = Fit(callback)
    fit.dies_after = 3
    with pytest.raises(KeyError):
        fit.run()
    assert type(fit.drop) is nn.Dropout
    again = Fit(callback)
    assert again.run() == [0.5] * 5 + [0.0] * 5


def test_without_a_curve_the_variable_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPTIME", "dropout=standard(0.25)")
    assert Fit(DropSchedule()).run() == [0.25] * 10
    monkeypatch.delenv("DROPTIME")
    assert Fit(DropSchedule()).run() == [0.125] * 10


def test_max_steps_end_the_run() -> None:
    assert Fit(DropSchedule(dropout=EARLY), max_steps=4).run() == [0.5] * 2 + [0.0] * 2
    assert Fit(DropSchedule(dropout=EARLY), max_steps=4, max_epochs=-1).run() == [0.5, 0.5, 0, 0]


def test_a_stream_has_no_percent_but_has_steps_and_a_clock() -> None:
    stream = torch.utils.data.DataLoader(_Stream())
    with pytest.raises(ClockError, match="total_steps"):
        Fit(DropSchedule(dropout=EARLY)).run(stream)
    steps = DropSchedule(dropout="early(0.5, until=3st, shape=constant)")
    assert Fit(steps).run(stream) == [0.5] * 3 + [0.0] * 5


def test_a_checkpoint_of_another_schedule_is_refused(tmp_path: Path) -> None:
    first = Fit(DropSchedule(dropout=EARLY), max_epochs=1)
    first.run()
    first.trainer.save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(StateError, match="dropout: saved early"):
        Fit(DropSchedule(dropout="standard(0.1)")).run(checkpoint=tmp_path / "a.ckpt")


def test_a_checkpoint_without_a_schedule_is_refused(tmp_path: Path) -> None:
    first = Fit(None, max_epochs=1)
    first.run()
    first.trainer.save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(StateError, match="saved without this callback"):
        Fit(DropSchedule(dropout=EARLY)).run(checkpoint=tmp_path / "a.ckpt")


def test_what_an_evaluation_loaded_is_not_for_the_next_fit() -> None:
    callback = DropSchedule(dropout=EARLY)
    callback.load_state_dict({"step": 3, "fingerprint": {}})
    assert Fit(callback).run() == [0.5] * 5 + [0.0] * 5
