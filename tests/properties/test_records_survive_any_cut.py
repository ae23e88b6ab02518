"""Whatever byte a run was cut at, and whatever step it resumes from, no step is lost or doubled."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from droptime.records import (
    JSON,
    DynamicsRow,
    Estimate,
    EvalRow,
    Row,
    RunWriter,
    StepRow,
    read_run,
)
from droptime.records.rows import decode_row, encode_row

floats = st.floats(allow_nan=False)
steps = st.builds(
    StepRow,
    st.integers(0, 2**63),
    floats,
    floats,
    floats,
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), floats),
)
evals = st.builds(EvalRow, st.integers(0, 2**63), floats, floats, floats, floats, floats)
dynamics = st.builds(
    DynamicsRow,
    st.integers(0, 2**63),
    floats,
    st.integers(0, 2**63),
    floats,
    st.booleans(),
    st.dictionaries(st.sampled_from(["variance", "error"]), st.builds(Estimate, floats, floats)),
    st.none() | st.integers(0, 2**63),
)


@given(row=st.one_of(steps, evals, dynamics))
def test_every_row_reads_back_equal_bit_for_bit(row: Row) -> None:
    text = encode_row(row)
    assert text.count("\n") == 1
    assert decode_row(text.encode()) == row


def _append(run: RunWriter, *, first: int, end: int) -> None:
    for step in range(first, end):
        run.append(StepRow(step, step / 4, 2.0, 0.1, {"dropout": 0.1}))
        if step % 4 == 3:
            run.append(EvalRow(step, (step + 1) / 4, 1.0, 0.5, 1.0, 0.5))


def _last_whole_step(path: Path) -> int:
    """The last step all of whose rows are there: a checkpoint is saved after a flush."""
    run = read_run(path)
    last = len(run.steps) - 1
    measured = [row.step for row in run.evals]
    return last if last < 0 or last % 4 != 3 or last in measured else last - 1


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_cut_and_resume_equals_uninterrupted(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        straight, cut = Path(folder, "straight"), Path(folder, "cut")
        config: dict[str, JSON] = {"arm": "none", "seed": 0}
        with RunWriter.create(straight, config) as run:
            _append(run, first=0, end=12)
        written = data.draw(st.integers(1, 12), label="steps before the kill")
        with RunWriter.create(cut, config) as run:
            _append(run, first=0, end=written)
        rows = cut / "rows.jsonl"
        content = rows.read_bytes()
        rows.write_bytes(content[: data.draw(st.integers(0, len(content)), label="bytes left")])
        last = data.draw(st.integers(-1, _last_whole_step(cut)), label="checkpoint after step")
        with RunWriter.resume(cut, step=last) as run:
            _append(run, first=last + 1, end=12)
        again = read_run(cut)
        assert (again.steps, again.evals) == (read_run(straight).steps, read_run(straight).evals)
