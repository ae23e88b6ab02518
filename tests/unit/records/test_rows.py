"""Rows and their text: exact round trips, strict JSON, errors that name the field."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from droptime.errors import RecordError
from droptime.records import DynamicsRow, Estimate, EvalRow, StepRow
from droptime.records.rows import decode_row, encode_row

STEP = StepRow(step=3, epoch=0.5, loss=2.25, lr=1e-3, rates={"dropout": 0.1})
EVAL = EvalRow(3, 1.0, 2.0, 0.25, 2.1, 0.2, "ema")
DYNAMICS = DynamicsRow(4, 0.5, 32, 64.0, True, {"variance": Estimate(0.4, math.inf)}, 4000)
GROUPED = replace(DYNAMICS, groups={"blocks.0": DYNAMICS.values, "head": {}})


def _line(**changes: object) -> bytes:
    row = json.loads(encode_row(STEP))
    row |= changes
    return json.dumps({k: v for k, v in row.items() if v is not ...}).encode()


@pytest.mark.parametrize("row", [STEP, EVAL, DYNAMICS, GROUPED])
def test_a_row_reads_back_equal(row: StepRow | EvalRow | DynamicsRow) -> None:
    assert decode_row(encode_row(row).encode()) == row


def test_a_measurement_may_not_say_what_its_reference_was() -> None:
    row = replace(DYNAMICS, reference=None)
    assert "reference" not in json.loads(encode_row(row))
    assert decode_row(encode_row(row).encode()) == row


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("reference", 1.5, "reference"),
        ("batches", -1, "batches"),
        ("halved", 1, "halved"),
        ("values", {"error": 0.4}, "error"),
        ("groups", {"head": 1}, "head"),
        ("groups", {"head": {"error": 0.4}}, "error"),
    ],
)
def test_a_malformed_measurement_is_refused(field: str, value: object, says: str) -> None:
    line = json.dumps({**json.loads(encode_row(DYNAMICS)), field: value}).encode()
    with pytest.raises(RecordError, match=says):
        decode_row(line)


def test_a_row_is_one_line_of_strict_json() -> None:
    text = encode_row(StepRow(0, 0.0, math.nan, 0.0, {"a\nb": math.inf}))
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert json.loads(text, parse_constant=pytest.fail)["loss"] == "nan"


@pytest.mark.parametrize("loss", [math.inf, -math.inf])
def test_infinite_losses_come_back(loss: float) -> None:
    row = StepRow(0, 0.0, loss, 0.0, {})
    assert decode_row(encode_row(row).encode()) == row


def test_nan_comes_back_as_nan() -> None:
    back = decode_row(encode_row(StepRow(0, 0.0, math.nan, 0.0, {})).encode())
    assert isinstance(back, StepRow)
    assert math.isnan(back.loss)


def test_unicode_stays_readable() -> None:
    text = encode_row(StepRow(0, 0.0, 1.0, 0.0, {"größe-落": 0.1}))
    assert "größe-落" in text
    back = decode_row(text.encode())
    assert isinstance(back, StepRow)
    assert back.rates == {"größe-落": 0.1}


def test_numpy_scalars_are_written_as_numbers() -> None:
    np = pytest.importorskip("numpy")
    row = StepRow(np.int64(4), np.float32(0.5), np.float32(0.25), np.float64(0.125), {})
    assert decode_row(encode_row(row).encode()) == StepRow(4, 0.5, 0.25, 0.125, {})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (_line(v=2), "upgrade"),
        (_line(v=...), "format version"),
        (_line(v="1"), "format version"),
        (_line(kind="dream"), "'dream'"),
        (_line(step=-1), "'step' is -1"),
        (_line(step=True), "'step' is True"),
        (_line(step=1.0), "'step' is 1.0"),
        (_line(loss="NaN"), "'loss' is 'NaN'"),
        (_line(loss=None), "'loss' is None"),
        (_line(loss=...), "'loss' is missing"),
        (_line(rates=[]), "'rates'"),
        (_line(rates={"dropout": "high"}), "'dropout' is 'high'"),
        (_line(surprise=1), "'surprise'"),
        (b"[]", "JSON object"),
        (b'{"v": 1, "kind": "step", "loss": NaN}', "strict JSON"),
        (b"\xff\xfe", "JSON"),
    ],
)
def test_a_malformed_line_says_what_is_wrong(line: bytes, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        decode_row(line)


@pytest.mark.parametrize(
    "row",
    [
        StepRow(-1, 0.0, 1.0, 0.0, {}),
        StepRow(0.5, 0.0, 1.0, 0.0, {}),  # type: ignore[arg-type]
        StepRow(0, 0.0, "low", 0.0, {}),  # type: ignore[arg-type]
        StepRow(0, 0.0, 1.0, 0.0, {"dropout": None}),  # type: ignore[dict-item]
    ],
)
def test_a_row_that_could_not_be_read_back_is_not_written(row: StepRow) -> None:
    with pytest.raises(RecordError):
        encode_row(row)


def test_skipped_steps_are_written_only_where_there_are_some() -> None:
    assert "skipped" not in encode_row(STEP)
    row = StepRow(9, 0.5, math.nan, 1e-3, {}, skipped=(8, 9))
    text = encode_row(row)
    assert '"skipped": [8, 9]' in text
    back = decode_row(text.encode())
    assert isinstance(back, StepRow)
    assert back.skipped == (8, 9)


@pytest.mark.parametrize("value", ['"8"', "[1.5]", "[true]", "{}"])
def test_skipped_steps_are_whole_numbers(value: str) -> None:
    line = encode_row(STEP).rstrip()[:-1] + f', "skipped": {value}}}'
    with pytest.raises(RecordError, match=r"'skipped' is .*: expected a list of whole numbers"):
        decode_row(line.encode())
