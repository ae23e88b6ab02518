"""The rows of a run and their text: one strict JSON object a line.

    {"v": 1, "kind": "step", "step": 0, "epoch": 0.0, "loss": 2.3, "lr": 0.001, "rates": {}}
    {"v": 1, "kind": "eval", "step": 9, "epoch": 1.0, "train_loss": 2.1, ...}

A loss that is not finite is written as the string ``"nan"``, ``"inf"`` or ``"-inf"``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, SupportsIndex, TypeAlias, TypeVar

from droptime.errors import RecordError
from droptime.records.files import JSON, VERSION, dump, load, versioned

T = TypeVar("T")

_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True)
class StepRow:
    """One optimizer step as training saw it.

    Attributes:
        step: 0-based optimizer step.
        epoch: epochs done, a fraction within an epoch.
        loss: the loss that was minimised (drop active, mixed targets), in nats.
        lr: learning rate in force.
        rates: the curves' values in force, e.g. ``{"dropout": 0.1}``; ``{}`` when none is driven.
    """

    step: int
    epoch: float
    loss: float
    lr: float
    rates: Mapping[str, float] = field(default_factory=dict)


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


Row: TypeAlias = StepRow | EvalRow


def encode_row(row: Row) -> str:
    """Write a row as one line, newline included.

    Raises:
        RecordError: a field is not what its name says (a negative step, a text for a number).
    """
    kind = "step" if isinstance(row, StepRow) else "eval"
    body = _step_json(row) if isinstance(row, StepRow) else eval_json(row)
    return dump({"v": VERSION, "kind": kind, **body}) + "\n"


def decode_row(line: bytes) -> Row:
    """Read one line back; ``decode_row(encode_row(row).encode()) == row``.

    Raises:
        RecordError: the line is not a row, or comes from a newer release.
    """
    data = versioned(load(line))
    kind = data.pop("kind", None)
    if kind not in ("step", "eval"):
        raise RecordError(f'expected "kind" to be "step" or "eval", found {kind!r}.')
    return _step_row(Fields(data)) if kind == "step" else eval_row(Fields(data))


def encode_summary(summary: Summary) -> dict[str, JSON]:
    """Return the summary as a JSON object."""
    return {
        "v": VERSION,
        "steps": _whole("steps", summary.steps),
        "seconds": _plain("seconds", summary.seconds),
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
            environment={k: _text(k, v) for k, v in fields.mapping("environment").items()},
        )
    )


def eval_json(row: EvalRow) -> dict[str, JSON]:
    """Return a measurement as a JSON object."""
    return {
        "step": _whole("step", row.step),
        "epoch": _plain("epoch", row.epoch),
        "train_loss": _plain("train_loss", row.train_loss),
        "train_accuracy": _plain("train_accuracy", row.train_accuracy),
        "test_loss": _plain("test_loss", row.test_loss),
        "test_accuracy": _plain("test_accuracy", row.test_accuracy),
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
    return {
        "step": _whole("step", row.step),
        "epoch": _plain("epoch", row.epoch),
        "loss": _plain("loss", row.loss),
        "lr": _plain("lr", row.lr),
        "rates": {name: _plain(name, rate) for name, rate in row.rates.items()},
    }


def _step_row(fields: Fields) -> StepRow:
    return fields.done(
        StepRow(
            step=fields.whole("step"),
            epoch=fields.number("epoch"),
            loss=fields.number("loss"),
            lr=fields.number("lr"),
            rates={name: _number(name, rate) for name, rate in fields.mapping("rates").items()},
        )
    )


class Fields:
    """Takes an object's fields one by one, each of its type; what is left over is an error."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._left = dict(data)

    def take(self, name: str) -> object:
        """Take a field of any type."""
        if name not in self._left:
            raise RecordError(f"the field {name!r} is missing.")
        return self._left.pop(name)

    def whole(self, name: str) -> int:
        """Take a whole number, at least 0."""
        value = self.take(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise RecordError(f"{name!r} is {value!r}: expected a whole number, at least 0.")
        return value

    def number(self, name: str) -> float:
        """Take a number, which may be one of the strings for what is not finite."""
        return _number(name, self.take(name))

    def text(self, name: str) -> str:
        """Take a text."""
        return _text(name, self.take(name))

    def mapping(self, name: str) -> dict[str, Any]:
        """Take a JSON object."""
        value = self.take(name)
        if not isinstance(value, dict):
            raise RecordError(f"{name!r} is {value!r}: expected a JSON object.")
        return value

    def done(self, made: T) -> T:
        """Return what was made of the fields, having made sure that none is left over."""
        if self._left:
            raise RecordError(f"unknown field(s) {', '.join(map(repr, sorted(self._left)))}.")
        return made


def _number(name: str, value: object) -> float:
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(f"{name!r} is {value!r}: expected a number.")
    return float(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise RecordError(f"{name!r} is {value!r}: expected text.")
    return value


def _plain(name: str, value: float) -> float | str:
    """Turn any real scalar (NumPy's and torch's too) into what strict JSON can hold."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise RecordError(f"{name!r} is {value!r}: expected a number.") from error
    return number if math.isfinite(number) else str(number)


def _whole(name: str, value: SupportsIndex) -> int:
    try:
        number = operator.index(value)
    except TypeError as error:
        raise RecordError(f"{name!r} is {value!r}: expected a whole number.") from error
    if number < 0:
        raise RecordError(f"{name!r} is {number}: expected a whole number, at least 0.")
    return number
