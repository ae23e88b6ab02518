"""The option ``probe=``: every trainer measures at the same steps, and trains as without it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments

from droptime import Clock, DropScheduler, from_env
from droptime.adapters import huggingface, ignite, lightning
from droptime.dynamics import Dynamics, GradientProbe
from droptime.errors import ConfigError, StateError
from tests.unit.dynamics.nets import Net

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated"),
    pytest.mark.filterwarnings("ignore:`lr_scheduler.step"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),
]
BATCHES, ACCUMULATE, EPOCHS = 6, 2, 2
STEPS = BATCHES // ACCUMULATE * EPOCHS
EARLY: dict[str, Any] = {"dropout": "early(0.4, until=4st)"}
Batch = dict[str, Tensor]


class Model(nn.Module):
    """What every trainer here can train: batch norm, dropout of several kinds, one loss."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.net = Net()

    def forward(self, x: Tensor, labels: Tensor) -> Batch:
        return {"loss": F.cross_entropy(self.net(x), labels)}


def _samples() -> list[Batch]:
    x = torch.randn(BATCHES * 8, 6, generator=torch.Generator().manual_seed(4))
    return [{"x": one, "labels": torch.tensor(i % 3)} for i, one in enumerate(x)]


def _loader() -> DataLoader[Batch]:
    return DataLoader(_samples(), batch_size=8, shuffle=True)  # type: ignore[arg-type]


def _probe(model: nn.Module, every: int = 2) -> GradientProbe:
    data = list(DataLoader(_samples(), batch_size=8))  # type: ignore[arg-type]
    return GradientProbe(model, lambda m, batch: m(**batch)["loss"], data, batches=4, every=every)


@dataclass
class Run:
    """One training: what it has and what it came to."""

    folder: Path
    curves: dict[str, Any]
    probes: bool = True
    stop: int = STEPS
    resume: bool = False
    model: Model = field(default_factory=Model)
    gradients: list[Dynamics] = field(default_factory=list)
    log: dict[int, dict[str, float]] = field(default_factory=dict)

    def probe(self) -> GradientProbe | None:
        probe = _probe(self.model) if self.probes else None
        torch.manual_seed(5)
        return probe


def _lightning(run: Run) -> None:
    library = importlib.import_module("lightning.pytorch")

    class Module(library.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = run.model

        def training_step(self, batch: Batch, index: int) -> Tensor:
            loss: Tensor = self.model(**batch)["loss"]
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-2)

    class Log(library.loggers.CSVLogger):  # type: ignore[misc, name-defined]
        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            if any(name.startswith("gradients/") for name in metrics):
                assert step is not None
                run.log[step] = metrics

    class Stop(library.Callback):  # type: ignore[misc, name-defined]
        def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
            if trainer.global_step == run.stop < STEPS:
                trainer.save_checkpoint(run.folder / "saved.ckpt")
                trainer.should_stop = True

    schedule = lightning.DropSchedule(**run.curves, probe=run.probe())
    trainer = library.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        min_epochs=0,
        accumulate_grad_batches=ACCUMULATE,
        callbacks=[schedule, Stop()],
        logger=Log(run.folder),
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), _loader(), ckpt_path=run.folder / "saved.ckpt" if run.resume else None)
    run.gradients = schedule.gradients


def _huggingface(run: Run) -> None:
    class Stop(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = state.global_step == run.stop

    schedule = huggingface.DropSchedule(**run.curves, probe=run.probe())
    trainer = Trainer(
        run.model,
        TrainingArguments(
            output_dir=str(run.folder),
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=8,
            gradient_accumulation_steps=ACCUMULATE,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
            logging_steps=1,
            save_strategy="steps",
            save_steps=3,
        ),
        train_dataset=_samples(),
        callbacks=[schedule, Stop()],
    )
    trainer.train(resume_from_checkpoint=run.resume)
    run.gradients = schedule.gradients
    for entry in trainer.state.log_history:
        measured = {name: v for name, v in entry.items() if name.startswith("gradients/")}
        run.log |= {entry["step"]: measured} if measured else {}


def _ignite(run: Run) -> None:
    optimizer = torch.optim.AdamW(run.model.parameters(), lr=1e-2)

    def update(engine: Engine, batch: Batch) -> None:
        (run.model(**batch)["loss"] / ACCUMULATE).backward()
        if engine.state.iteration % ACCUMULATE == 0:
            optimizer.step()
            optimizer.zero_grad()

    clock = Clock(total_steps=STEPS)
    drop = DropScheduler(run.model, **run.curves, clock=clock) if run.curves else from_env(
        run.model, clock=clock
    )  # fmt: skip
    engine = Engine(update)
    run.gradients = ignite.attach(drop, engine, accumulate=ACCUMULATE, probe=run.probe())
    parts: dict[str, Any] = {"model": run.model, "optimizer": optimizer, "drop": drop}
    parts["engine"] = engine

    @engine.on(Events.ITERATION_COMPLETED)  # type: ignore[untyped-decorator]
    def look() -> None:
        for found in run.gradients:
            run.log.setdefault(found.step, dict(engine.state.metrics))
        if engine.state.iteration == run.stop * ACCUMULATE < STEPS * ACCUMULATE:
            torch.save({n: part.state_dict() for n, part in parts.items()}, run.folder / "saved.pt")
            engine.terminate()

    if run.resume:
        for name, state in torch.load(run.folder / "saved.pt").items():
            parts[name].load_state_dict(state)
    engine.run(_loader(), max_epochs=EPOCHS)
    drop.close()


DOORS: dict[str, Callable[[Run], None]] = {
    "lightning": _lightning,
    "huggingface": _huggingface,
    "ignite": _ignite,
}


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> Callable[[Run], None]:
    return DOORS[request.param]


@pytest.mark.parametrize("curves", [EARLY, {}], ids=["driven", "no curve"])
def test_a_measured_training_is_the_same_training(
    door: Callable[[Run], None], curves: dict[str, Any], tmp_path: Path
) -> None:
    ends = []
    for probes in (False, True):
        run = Run(tmp_path / str(probes), curves, probes)
        door(run)
        ends.append((run.model.state_dict(), torch.get_rng_state()))
    assert [found.step for found in run.gradients] == [0, 2, 4, 6]
    assert torch.equal(ends[0][1], ends[1][1])
    for name, value in ends[0][0].items():
        assert torch.equal(value, ends[1][0][name]), name


def test_rates_weights_and_log_are_those_of_the_step(
    door: Callable[[Run], None], tmp_path: Path
) -> None:
    """What is found at step 0 is what a probe finds by hand; dropout is off from step 4 on."""
    run = Run(tmp_path, EARLY)
    door(run)
    by_hand = Model()
    probe = _probe(by_hand)
    drop = DropScheduler(by_hand, **EARLY, clock=Clock(total_steps=STEPS))
    assert run.gradients[0] == probe.step(0)
    drop.close()
    effects = {row.step: row.error_effect.value for row in run.gradients if row.error_effect}
    assert effects[0] != 0
    assert effects[2] != 0
    assert effects[4] == effects[6] == 0
    assert [bool(row.distance) for row in run.gradients] == [False, True, True, True]
    assert run.log.keys() == effects.keys()
    for row in run.gradients:
        assert run.log[row.step]["gradients/variance"] == row.variance.value
        assert run.log[row.step]["gradients/error_se"] > 0


def test_a_training_that_goes_on_measures_what_was_not_measured(
    door: Callable[[Run], None], tmp_path: Path
) -> None:
    first = Run(tmp_path, EARLY, stop=3)
    door(first)
    second = Run(tmp_path, EARLY, resume=True)
    door(second)
    assert [found.step for found in first.gradients] == [0, 2]
    assert [found.step for found in second.gradients] == [4, 6]
    assert all(row.distance and row.distance > 0 for row in second.gradients)


@pytest.mark.parametrize("name", ["lightning", "huggingface"])
def test_a_probe_of_another_model_is_refused(name: str, tmp_path: Path) -> None:
    class Other(Run):
        def probe(self) -> GradientProbe:
            return _probe(Model())

    with pytest.raises(StateError, match=r"probe= measures a Model that is not the"):
        DOORS[name](Other(tmp_path, EARLY))


@pytest.mark.parametrize("adapter", [lightning, huggingface])
def test_what_is_no_probe_is_refused(adapter: Any) -> None:
    with pytest.raises(ConfigError, match="expected a GradientProbe"):
        adapter.DropSchedule(probe="GradientProbe")


def test_a_saved_state_does_not_pretend_to_hold_a_probe() -> None:
    saved = huggingface.DropSchedule(probe=_probe(Model())).state()
    with pytest.raises(ConfigError, match="let it keep the callback it was given"):
        huggingface.DropSchedule.from_state(saved)
    assert huggingface.DropSchedule.from_state(huggingface.DropSchedule().state()).drop is None
