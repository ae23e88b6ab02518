"""A disk that refuses leaves whole files, no debris and an error that names the file."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from droptime.errors import RecordError
from droptime.records import RunWriter, StepRow, read_run, write_atomic

CONFIG: dict[str, Any] = {"arm": "none", "seed": 0}


def _full(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("broken", ["replace", "fsync"])
@pytest.mark.parametrize("before", [None, b"old"])
def test_write_atomic_is_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, before: bytes | None
) -> None:
    target = tmp_path / "file.bin"
    if before is not None:
        target.write_bytes(before)
    monkeypatch.setattr(os, broken, _full)
    with pytest.raises(RecordError, match=r"cannot write .*file\.bin: No space left"):
        write_atomic(target, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ([] if before is None else ["file.bin"])
    assert before is None or target.read_bytes() == before


def test_an_interrupt_leaves_no_debris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "file", "new")
    assert list(tmp_path.iterdir()) == []


def test_write_atomic_replaces_and_encodes(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", "first")
    write_atomic(tmp_path / "file", "größe\n")
    assert (tmp_path / "file").read_bytes() == "größe\n".encode()
    assert len(list(tmp_path.iterdir())) == 1


def test_write_atomic_into_a_missing_folder_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"cannot write .*gone"):
        write_atomic(tmp_path / "gone" / "file", b"")


def test_half_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="UTF-8"):
        write_atomic(tmp_path / "file", "\ud800")
    assert list(tmp_path.iterdir()) == []


def test_a_row_cut_by_a_full_disk_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.write, []

    def half_then_full(descriptor: int, data: bytes) -> int:
        calls.append(data)
        return real(descriptor, data[:10]) if len(calls) == 1 else _full()

    with RunWriter.create(tmp_path, CONFIG) as run:
        run.append(StepRow(0, 0.0, 1.0, 0.1, {}))
        monkeypatch.setattr(os, "write", half_then_full)
        with pytest.raises(RecordError, match=r"append to .*rows\.jsonl: No space left"):
            run.append(StepRow(1, 0.0, 1.0, 0.1, {}))
        monkeypatch.undo()
        run.append(StepRow(1, 0.0, 2.0, 0.1, {}))
    assert [(row.step, row.loss) for row in read_run(tmp_path).steps] == [(0, 1.0), (1, 2.0)]
    assert (tmp_path / "rows.jsonl").read_bytes().endswith(b"\n")


def test_a_row_written_in_pieces_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    with RunWriter.create(tmp_path, CONFIG) as run:
        run.append(StepRow(0, 0.0, 1.0, 0.1, {"dropout": 0.1}))
    assert len(read_run(tmp_path).steps) == 1


def test_a_writer_that_cannot_take_a_row_back_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunWriter.create(tmp_path, CONFIG)
    monkeypatch.setattr(os, "write", _full)
    monkeypatch.setattr(os, "ftruncate", _full)
    with pytest.raises(RecordError, match="No space"):
        run.append(StepRow(0, 0.0, 1.0, 0.1, {}))
    monkeypatch.undo()
    with pytest.raises(RecordError, match="is closed"):
        run.append(StepRow(0, 0.0, 1.0, 0.1, {}))


def test_a_resume_that_cannot_write_keeps_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunWriter.create(tmp_path, CONFIG) as run:
        for step in range(3):
            run.append(StepRow(step, 0.0, 1.0, 0.1, {}))
    monkeypatch.setattr(os, "replace", _full)
    with pytest.raises(RecordError, match="No space"):
        RunWriter.resume(tmp_path, step=0)
    monkeypatch.undo()
    assert len(read_run(tmp_path).steps) == 3
    RunWriter.resume(tmp_path, step=2).close()  # the failed one let go of the lock


def test_a_summary_that_cannot_be_written_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from droptime.records import EvalRow, Summary

    summary = Summary(1, 0.1, EvalRow(0, 1.0, 1.0, 0.5, 1.0, 0.5), {})
    with RunWriter.create(tmp_path, CONFIG) as run:
        monkeypatch.setattr(os, "replace", _full)
        with pytest.raises(RecordError, match=r"summary\.json"):
            run.finish(summary)
        monkeypatch.undo()
        assert not read_run(tmp_path).finished
        run.finish(summary)
    assert read_run(tmp_path).finished
