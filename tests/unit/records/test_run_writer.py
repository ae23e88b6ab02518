"""The writer of a run: created, killed, resumed, finished, refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from droptime.errors import RecordError
from droptime.records import EvalRow, RunWriter, StepRow, Summary, read_run

CONFIG: dict[str, Any] = {"arm": "none", "seed": 0, "lr": 1e-3}
FINAL = EvalRow(9, 1.0, 1.5, 0.5, 1.6, 0.4)
SUMMARY = Summary(10, 2.5, FINAL, {"torch": "2.6", "device": "cpu"})


def _row(step: int) -> StepRow:
    return StepRow(step, step / 10, 2.0 - step / 100, 1e-3, {"dropout": 0.1})


def _steps(path: Path) -> list[int]:
    return [row.step for row in read_run(path).steps]


def _write(path: Path, *steps: int) -> None:
    with RunWriter.create(path, CONFIG) as run:
        for step in steps:
            run.append(_row(step))


def test_a_finished_run_reads_back_whole(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run", CONFIG) as run:
        for step in range(10):
            run.append(_row(step))
        run.append(FINAL)
        run.finish(SUMMARY)
    read = read_run(tmp_path / "run")
    assert read.config == CONFIG
    assert read.steps == tuple(map(_row, range(10)))
    assert read.evals == (FINAL,)
    assert read.summary == SUMMARY
    assert (read.arm, read.seed, read.finished, read.last_step) == ("none", 0, True, 9)


def test_rows_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, CONFIG) as run:
        assert read_run(tmp_path).last_step is None
        run.append(_row(0))
        assert _steps(tmp_path) == [0]
        assert not read_run(tmp_path).finished


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_left_out(tmp_path: Path, cut: int) -> None:
    _write(tmp_path, 0, 1, 2)
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(rows.read_bytes()[: -1 - cut])
    assert _steps(tmp_path) == [0, 1]


def test_a_last_line_that_lacks_only_its_newline_is_whole(tmp_path: Path) -> None:
    _write(tmp_path, 0, 1)
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(rows.read_bytes()[:-1])
    assert _steps(tmp_path) == [0, 1]
    with RunWriter.resume(tmp_path, step=1) as run:
        run.append(_row(2))
    assert _steps(tmp_path) == [0, 1, 2]


def test_a_line_torn_within_a_character_is_left_out(tmp_path: Path) -> None:
    _write(tmp_path, 0)
    with (tmp_path / "rows.jsonl").open("ab") as rows:
        rows.write('{"v": 1, "kind": "é'.encode()[:-1])
    assert _steps(tmp_path) == [0]


def test_a_malformed_middle_line_is_named(tmp_path: Path) -> None:
    _write(tmp_path, 0, 1, 2)
    rows = tmp_path / "rows.jsonl"
    lines = rows.read_bytes().splitlines(keepends=True)
    rows.write_bytes(lines[0] + lines[1][:20] + b"\n" + lines[2])
    with pytest.raises(RecordError, match=r"rows\.jsonl, line 2: not valid JSON"):
        read_run(tmp_path)
    with pytest.raises(RecordError, match="line 2"):
        RunWriter.resume(tmp_path, step=2)


def test_a_blank_middle_line_is_malformed(tmp_path: Path) -> None:
    _write(tmp_path, 0, 1)
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(rows.read_bytes().replace(b"\n", b"\n\n", 1))
    with pytest.raises(RecordError, match="line 2"):
        read_run(tmp_path)


def test_a_doubled_step_on_disk_is_an_error(tmp_path: Path) -> None:
    _write(tmp_path, 0, 1)
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(rows.read_bytes() * 2)
    with pytest.raises(RecordError, match="line 3: the training row of step 0 comes after"):
        read_run(tmp_path)


def test_resume_drops_later_rows_and_loses_no_step(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, CONFIG) as run:
        for step in range(8):
            run.append(_row(step))
            if step % 3 == 2:
                run.append(EvalRow(step, 0.0, 1.0, 0.5, 1.0, 0.5))
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(rows.read_bytes()[:-9])
    with RunWriter.resume(tmp_path, step=4) as run:
        assert _steps(tmp_path) == [0, 1, 2, 3, 4]
        for step in range(5, 10):
            run.append(_row(step))
            if step % 3 == 2:
                run.append(EvalRow(step, 0.0, 1.0, 0.5, 1.0, 0.5))
        run.finish(SUMMARY)
    assert _steps(tmp_path) == list(range(10))
    assert [row.step for row in read_run(tmp_path).evals] == [2, 5, 8]


def test_a_resumed_writer_still_refuses_a_step_told_before(tmp_path: Path) -> None:
    _write(tmp_path, 0, 1, 2)
    with RunWriter.resume(tmp_path, step=1) as run:
        with pytest.raises(RecordError, match="step 1 comes after that of step 1"):
            run.append(_row(1))
        run.append(_row(2))
    assert _steps(tmp_path) == [0, 1, 2]


def test_raw_and_averaged_weights_may_be_measured_after_one_step(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, CONFIG) as run:
        run.append(EvalRow(0, 0.0, 1.0, 0.5, 1.0, 0.5, "raw"))
        run.append(EvalRow(0, 0.0, 1.0, 0.5, 1.0, 0.5, "ema"))
        with pytest.raises(RecordError, match="ema evaluation"):
            run.append(EvalRow(0, 0.0, 1.0, 0.5, 1.0, 0.5, "ema"))
    assert len(read_run(tmp_path).evals) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_writer_leaves_every_row_and_can_be_resumed(tmp_path: Path) -> None:
    program = """
        import itertools, sys
        from droptime.records import RunWriter, StepRow
        run = RunWriter.create(sys.argv[1], {"arm": "none", "seed": 0})
        for step in itertools.count():
            run.append(StepRow(step, 0.0, 1.0, 0.1, {"dropout": 0.1}))
            if step == 200:
                print("go", flush=True)
    """
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], stdout=subprocess.PIPE
    )
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"go\n"
        with pytest.raises(RecordError, match="another process is writing"):
            RunWriter.resume(tmp_path, step=100)
        os.kill(writer.pid, signal.SIGKILL)
    found = _steps(tmp_path)
    assert len(found) > 200
    assert found == list(range(len(found)))
    with RunWriter.resume(tmp_path, step=100) as run:
        run.append(_row(101))
    assert _steps(tmp_path) == list(range(102))


@pytest.mark.skipif(sys.platform == "win32", reason="needs flock")
def test_two_writers_are_one_too_many(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, CONFIG) as run:
        run.append(_row(0))
        with pytest.raises(RecordError, match="another process is writing"):
            RunWriter.create(tmp_path, CONFIG)
        assert _steps(tmp_path) == [0]
    RunWriter.resume(tmp_path, step=0).close()


def test_creating_again_starts_an_unfinished_run_over(tmp_path: Path) -> None:
    _write(tmp_path, 0, 1, 2)
    _write(tmp_path, 0)
    assert _steps(tmp_path) == [0]


def test_another_config_is_refused_and_named(tmp_path: Path) -> None:
    _write(tmp_path, 0)
    with pytest.raises(RecordError, match=r"lr: 0\.001 there, 0\.01 asked"):
        RunWriter.create(tmp_path, CONFIG | {"lr": 1e-2})
    with pytest.raises(RecordError, match="extra: None there, 1 asked"):
        RunWriter.create(tmp_path, CONFIG | {"extra": 1})
    assert _steps(tmp_path) == [0]


def test_a_config_that_json_changes_the_type_of_still_matches(tmp_path: Path) -> None:
    RunWriter.create(tmp_path, {"arm": "none", "seed": 0, "size": (8, 8)}).close()
    RunWriter.create(tmp_path, {"arm": "none", "seed": 0, "size": (8, 8)}).close()
    assert read_run(tmp_path).config["size"] == [8, 8]


@pytest.mark.parametrize("value", [float("nan"), object()])
def test_a_config_that_is_not_json_is_refused_before_anything_is_made(
    tmp_path: Path, value: object
) -> None:
    with pytest.raises(RecordError, match="strict JSON"):
        RunWriter.create(tmp_path / "run", {"arm": value})  # type: ignore[dict-item]
    assert not (tmp_path / "run").exists()


def test_a_finished_run_takes_nothing_more(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, CONFIG) as run:
        run.finish(SUMMARY)
        with pytest.raises(RecordError, match="has finished"):
            run.append(_row(0))
        with pytest.raises(RecordError, match="has finished"):
            run.finish(SUMMARY)
    with pytest.raises(RecordError, match="has finished"):
        RunWriter.create(tmp_path, CONFIG)
    with pytest.raises(RecordError, match="has finished"):
        RunWriter.resume(tmp_path, step=0)


def test_a_closed_writer_says_so(tmp_path: Path) -> None:
    run = RunWriter.create(tmp_path, CONFIG)
    run.close()
    with pytest.raises(RecordError, match="is closed"):
        run.append(_row(0))


def test_an_error_in_the_block_leaves_an_unfinished_run(tmp_path: Path) -> None:
    def stumble() -> None:
        with RunWriter.create(tmp_path, CONFIG) as run:
            run.append(_row(0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stumble()
    assert not read_run(tmp_path).finished
    RunWriter.resume(tmp_path, step=0).close()


def test_what_is_not_a_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="not a run directory"):
        read_run(tmp_path)
    with pytest.raises(RecordError, match="not a run directory"):
        RunWriter.resume(tmp_path / "nowhere", step=0)


def test_a_newer_config_or_summary_says_to_upgrade(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, CONFIG) as run:
        run.finish(SUMMARY)
    for name in ("summary.json", "config.json"):
        file = tmp_path / name
        file.write_text(file.read_text().replace('"v": 1', '"v": 7'))
        with pytest.raises(RecordError, match=rf"{name}.*format 7.*upgrade"):
            read_run(tmp_path)
