"""Settings that changed while a run was under way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from droptime.errors import RecordError
from droptime.records import Change, RunWriter, StepRow, read_run


def begun(path: Path) -> Path:
    with RunWriter.create(path, {"lr": 0.1, "epochs": 3}) as run:
        for step in range(8):
            run.append(StepRow(step, 0.0, 1.0, 0.1, {}))
    return path


def test_a_change_is_kept_with_the_step_it_begins_at(tmp_path: Path) -> None:
    path = begun(tmp_path / "run")
    assert read_run(path).changes == ()
    RunWriter.resume(path, step=5, changed={"lr": 0.2, "new": 1}).close()
    run = read_run(path)
    assert run.config == {"lr": 0.2, "epochs": 3, "new": 1}
    assert run.changes == (Change(6, {"lr": 0.1, "new": None}, {"lr": 0.2, "new": 1}),)
    assert [row.step for row in run.steps] == list(range(6))


def test_changes_add_up_and_go_back_with_the_run(tmp_path: Path) -> None:
    path = begun(tmp_path / "run")
    RunWriter.resume(path, step=3, changed={"lr": 0.2}).close()
    RunWriter.resume(path, step=3, changed={}).close()
    with RunWriter.resume(path, step=3) as run:
        run.append(StepRow(4, 0.0, 1.0, 0.2, {}))
    RunWriter.resume(path, step=4, changed={"lr": 0.3}).close()
    assert [change.step for change in read_run(path).changes] == [4, 5]
    RunWriter.resume(path, step=-1).close()
    run_back = read_run(path)
    assert run_back.changes == (
        Change(0, {"lr": 0.1}, {"lr": 0.2}),
        Change(0, {"lr": 0.2}, {"lr": 0.3}),
    )
    assert run_back.config["lr"] == 0.3


def test_another_writer_keeps_the_config_from_changing(tmp_path: Path) -> None:
    path = begun(tmp_path / "run")
    with (
        RunWriter.resume(path, step=3),
        pytest.raises(RecordError, match="another process is writing"),
    ):
        RunWriter.resume(path, step=3, changed={"lr": 0.2})
    assert read_run(path).config["lr"] == 0.1


@pytest.mark.parametrize("changes", [3, [3], [{"step": -1}], [{"step": 1, "before": {}}]])
def test_malformed_changes_name_the_file(tmp_path: Path, changes: object) -> None:
    path = begun(tmp_path / "run")
    content = json.loads((path / "config.json").read_text()) | {"changes": changes}
    (path / "config.json").write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"config\.json: "):
        read_run(path)
