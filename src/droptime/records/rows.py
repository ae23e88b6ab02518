"""The rows of a run and their text: one strict JSON object a line.

    {"v": 1, "kind": "step", "step": 0, "epoch": 0.0, "loss": 2.3, "lr": 0.001, "rates": {}}
    {"v": 1, "kind": "eval", "step": 9, "epoch": 1.0, "train_loss": 2.1, ...}
    {"v": 1, "kind": "dynamics", "step": 0, "epoch": 0.0, "batches": 32, ...}

A loss that is not finite is written as the string ``"nan"``, ``"inf"`` or ``"-inf"``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from droptime.errors import RecordError
from droptime.records.dynamics import DynamicsRow, dynamics_json, dynamics_row
from droptime.records.fields import Fields, number_of, plain, text_of, whole
from droptime.records.files import JSON, VERSION, dump, load, versioned


@dataclass(frozen=True)
class StepRow:
    """One optimizer step as training saw it.

    Attributes:
        step: 0-based optimizer step.
        epoch: epochs done, a fraction within an epoch.
        loss: the loss that was minimised (drop active, mixed targets), in nats.
        lr: learning rate in force.
        rates: the curves' values in force, e.g. ``{"dropout": 0.1}``; ``{}`` when none is driven.
        skipped: steps since the row before (or this one) that changed nothing, because their loss
            or gradient was not finite; ``loss`` leaves them out. Written only where there is one.
    """

    step: int
    epoch: float
    loss: float
    lr: float
    rates: Mapping[str, float] = field(default_factory=dict)
    skipped: tuple[int, ...] = ()


@dataclass(frozen=True)
class EvalRow:
    """The model measured after a step, with dropout off.

    Attributes:
        step: 0-based optimizer step after which it was measured.
        epoch: epochs done.
        train_loss: plain cross-entropy in nats on the training set, un-augmented and un-mixed.
        train_accuracy: fraction in [0, 1] on the same examples.
        test_loss: plain cross-entropy in nats on the test set.
        test_accuracy: fraction in [0, 1] on the test set.
        weights: ``"raw"``, or ``"ema"`` for the averaged copy.
    """

    step: int
    epoch: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    weights: str = "raw"


@dataclass(frozen=True)
class Summary:
    """How a finished run ended.

    Attributes:
        steps: optimizer steps made.
        seconds: wall-clock seconds spent training, over all resumes.
        final: the last measurement.
        environment: library versions, device, threads.
    """

    steps: int
    seconds: float
    final: EvalRow
    environment: Mapping[str, str] = field(default_factory=dict)


Row: TypeAlias = StepRow | EvalRow | DynamicsRow


def encode_row(row: Row) -> str:
    """Write a row as one line, newline included.

    Raises:
        RecordError: a field is not what its name says (a negative step, a text for a number).
    """
    if isinstance(row, StepRow):
        kind, body = "step", _step_json(row)
    elif isinstance(row, EvalRow):
        kind, body = "eval", eval_json(row)
    else:
        kind, body = "dynamics", dynamics_json(row)
    return dump({"v": VERSION, "kind": kind, **body}) + "\n"


def decode_row(line: bytes) -> Row:
    """Read one line back; ``decode_row(encode_row(row).encode()) == row``.

    Raises:
        RecordError: the line is not a row, or comes from a newer release.
    """
    data = versioned(load(line))
    kind = data.pop("kind", None)
    if kind not in _READERS:
        raise RecordError(f'expected "kind" to be one of {", ".join(_READERS)}, found {kind!r}.')
    return _READERS[kind](Fields(data))


def encode_summary(summary: Summary) -> dict[str, JSON]:
    """Return the summary as a JSON object."""
    return {
        "v": VERSION,
        "steps": whole("steps", summary.steps),
        "seconds": plain("seconds", summary.seconds),
        "final": eval_json(summary.final),
        "environment": {str(name): str(value) for name, value in summary.environment.items()},
    }


def decode_summary(data: dict[str, Any]) -> Summary:
    """Read :func:`encode_summary`'s object back, its version already taken off."""
    fields = Fields(data)
    return fields.done(
        Summary(
            steps=fields.whole("steps"),
            seconds=fields.number("seconds"),
            final=eval_row(Fields(fields.mapping("final"))),
            environment={k: text_of(k, v) for k, v in fields.mapping("environment").items()},
        )
    )


def eval_json(row: EvalRow) -> dict[str, JSON]:
    """Return a measurement as a JSON object."""
    return {
        "step": whole("step", row.step),
        "epoch": plain("epoch", row.epoch),
        "train_loss": plain("train_loss", row.train_loss),
        "train_accuracy": plain("train_accuracy", row.train_accuracy),
        "test_loss": plain("test_loss", row.test_loss),
        "test_accuracy": plain("test_accuracy", row.test_accuracy),
        "weights": row.weights,
    }


def eval_row(fields: Fields) -> EvalRow:
    """Read :func:`eval_json`'s object back."""
    return fields.done(
        EvalRow(
            step=fields.whole("step"),
            epoch=fields.number("epoch"),
            train_loss=fields.number("train_loss"),
            train_accuracy=fields.number("train_accuracy"),
            test_loss=fields.number("test_loss"),
            test_accuracy=fields.number("test_accuracy"),
            weights=fields.text("weights"),
        )
    )


def _step_json(row: StepRow) -> dict[str, JSON]:
    skipped = [whole("skipped", step) for step in row.skipped]
    return {
        "step": whole("step", row.step),
        "epoch": plain("epoch", row.epoch),
        "loss": plain("loss", row.loss),
        "lr": plain("lr", row.lr),
        "rates": {name: plain(name, rate) for name, rate in row.rates.items()},
        **({"skipped": skipped} if skipped else {}),
    }


def _step_row(fields: Fields) -> StepRow:
    return fields.done(
        StepRow(
            step=fields.whole("step"),
            epoch=fields.number("epoch"),
            loss=fields.number("loss"),
            lr=fields.number("lr"),
            rates={name: number_of(name, rate) for name, rate in fields.mapping("rates").items()},
            skipped=fields.wholes("skipped") if fields.has("skipped") else (),
        )
    )


_READERS: Mapping[Any, Callable[[Fields], Row]] = {
    "step": _step_row,
    "eval": eval_row,
    "dynamics": dynamics_row,
}
