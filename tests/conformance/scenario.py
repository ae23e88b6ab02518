"""The one run that every way of training must reproduce, and what is compared.

A run of 3 epochs of 12 batches, 3 batches to an optimizer step, so 12 steps; evaluation after each
epoch; ended early, after step 10. A first attempt saves a checkpoint after some step and dies in
the accumulation window behind it; a second one, with new objects, goes on from the checkpoint.

Masks depend only on the batch, since the model seeds itself with the batch's number: so weights can
be compared bit by bit, whatever random numbers a trainer draws in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import SGD

EPOCHS, BATCHES, ACCUMULATE, BATCH_SIZE = 3, 12, 3, 4
STEPS_PER_EPOCH = BATCHES // ACCUMULATE
STEPS = EPOCHS * STEPS_PER_EPOCH
END = 10
"""Optimizer steps after which the run is ended early."""

CURVES: dict[str, Any] = {
    "dropout": "early(0.6, until=2ep)",
    "drop_path": "late(0.5, since=50%, shape=linear)",
}


class EndOfProcessError(RuntimeError):
    """The process ends here."""


@dataclass
class Tape:
    """What happened: for each training forward the batch and the rates in force."""

    rates: list[tuple[int, float, float]] = field(default_factory=list)
    evaluations: int = 0
    dies_after: int | None = None
    """Training forwards after which the process dies."""


class Model(nn.Module):
    """A regression with one dropout and one closed drop path, which writes a tape."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.inner = nn.Linear(4, 8)
        self.drop = nn.Dropout(0.0)
        self.norm = nn.BatchNorm1d(8)
        self.drop_path = nn.Identity()
        self.outer = nn.Linear(8, 1)
        self.tape = Tape()

    def forward(self, x: Tensor, labels: Tensor, number: Tensor) -> dict[str, Tensor]:
        if self.training:
            self._record(int(number[0]))
        hidden = self.inner(x)
        hidden = hidden + self.drop_path(self.norm(self.drop(hidden.relu())))
        logits = self.outer(hidden).squeeze(-1)
        return {"loss": nn.functional.mse_loss(logits, labels), "logits": logits}

    def _record(self, number: int) -> None:
        tape, p = self.tape, getattr(self.drop_path, "p", 0.0)
        if tape.dies_after is not None and len(tape.rates) >= tape.dies_after:
            raise EndOfProcessError
        tape.rates.append((number, self.drop.p, p))
        torch.manual_seed(number)


def optimizer_of(model: nn.Module) -> SGD:
    return SGD(model.parameters(), lr=0.05, momentum=0.9)


class Samples(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The samples of one epoch, in order; each knows the number of its batch."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.x = torch.randn(BATCHES * BATCH_SIZE, 4, generator=generator)

    def __len__(self) -> int:
        return BATCHES * BATCH_SIZE

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        x = self.x[index]
        return {"x": x, "labels": x.sum(), "number": torch.tensor(index // BATCH_SIZE)}


def loader() -> torch.utils.data.DataLoader[dict[str, Tensor]]:
    return torch.utils.data.DataLoader(Samples(), batch_size=BATCH_SIZE)


class Batches:
    """A loader that goes on in mid-epoch from its saved position."""

    def __init__(self) -> None:
        self.batches = list(loader())
        self.position = 0

    def __len__(self) -> int:
        return BATCHES

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        self.position %= BATCHES
        while self.position < BATCHES:
            self.position += 1
            yield self.batches[self.position - 1]

    def state_dict(self) -> dict[str, int]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.position = state["position"]


def evaluate(model: Any) -> None:
    """Evaluate, and see to it that evaluation does not drop."""
    training = model.training
    model.eval()
    batch = next(iter(loader()))
    with torch.no_grad():
        assert torch.equal(model(**batch)["logits"], model(**batch)["logits"])
    model.train(training)
    model.tape.evaluations += 1


class Door(Protocol):
    """A way of training: run until the model dies or the run ends early; save after one step.

    Args:
        model: a new model; its weights are loaded if the run resumes.
        folder: where the checkpoint is.
        save: the step after which to save; None: resume from the checkpoint and save no more.
    """

    def __call__(self, model: Model, folder: Path, save: int | None) -> None: ...


@dataclass
class Outcome:
    """What is compared."""

    rates: list[tuple[int, float, float]]
    weights: dict[str, Tensor]
    evaluations: int


def in_two_attempts(door: Door, folder: Path, saved: int) -> Outcome:
    """The run through a door: die after step ``saved`` in mid-window, then resume."""
    first = Model()
    first.tape.dies_after = saved * ACCUMULATE + 2
    try:
        door(first, folder, saved)
    except EndOfProcessError:
        pass
    else:
        raise AssertionError("the first attempt should have died")
    second = Model()
    door(second, folder, None)
    return Outcome(
        rates=first.tape.rates[: saved * ACCUMULATE] + second.tape.rates,
        weights={name: value.clone() for name, value in second.state_dict().items()},
        evaluations=first.tape.evaluations + second.tape.evaluations,
    )
