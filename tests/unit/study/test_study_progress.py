from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from droptime.records import DynamicsRow, Estimate, EvalRow, RunWriter, StepRow, Summary
from droptime.study import Grid, Job, displayed, look_at_run, look_at_study
from droptime.study import display as display_module
from droptime.study.progress import Pace

GRID = Grid(
    name="p", arms={"none": {}, "d": {"dropout": "standard(0.3)"}}, seeds=(0,), base={"epochs": 4}
)
FINAL = EvalRow(8, 4.0, 1.0, 0.5, 1.0, 0.5)


def begin(job: Job, *, rows: int) -> RunWriter:
    writer = RunWriter.create(job.path, job.config)
    for step in range(rows):
        writer.append(StepRow(step, (step + 1) / 2, 1.0 / (step + 1), 0.1, {"dropout": 0.3}))
    return writer


def test_a_run_that_has_not_begun(tmp_path: Path) -> None:
    job = GRID.jobs(tmp_path)[0]
    assert (look_at_run(job).done, look_at_run(job).loss) == (0.0, None)


def test_a_run_under_way_tells_its_last_row(tmp_path: Path) -> None:
    job = GRID.jobs(tmp_path)[1]
    with begin(job, rows=2) as writer:
        seen = look_at_run(job)
        assert (seen.name, seen.done, seen.loss) == ("d-s0", 0.25, 0.5)
        assert seen.rates == {"dropout": 0.3}
        writer.append(EvalRow(2, 1.0, 9.0, 0.5, 9.0, 0.5))
        assert look_at_run(job) == seen


def test_a_run_whose_length_the_study_does_not_set_tells_it_itself(tmp_path: Path) -> None:
    job = GRID.jobs(tmp_path)[1]
    begin(job, rows=2).close()
    config = {name: value for name, value in job.config.items() if name != "epochs"}
    assert look_at_run(Job(config, job.path)).done == 0.25


def test_a_line_half_written_is_passed_over(tmp_path: Path) -> None:
    job = GRID.jobs(tmp_path)[0]
    begin(job, rows=3).close()
    with (job.path / "rows.jsonl").open("a") as file:
        file.write('{"v": 1, "kind": "step", "step": 3, "ep')
    assert look_at_run(job).done == 0.375


def test_only_the_end_of_long_rows_is_read(tmp_path: Path) -> None:
    job = GRID.jobs(tmp_path)[0]
    begin(job, rows=8).close()
    rows = job.path / "rows.jsonl"
    rows.write_bytes(b"not json at all\n" * 10_000 + rows.read_bytes())
    assert look_at_run(job).loss == 1 / 8


def test_many_measurements_in_a_row_do_not_hide_the_last_step(tmp_path: Path) -> None:
    values = {f"{name}_effect": Estimate(1 / 3, 1 / 7) for name in ("norm", "variance", "error")}
    job = GRID.jobs(tmp_path)[1]
    with begin(job, rows=1) as writer:
        seen = look_at_run(job)
        for step in range(1, 65):
            writer.append(DynamicsRow(step, step / 64, 32, 64.0, True, values, 4000))
        assert look_at_run(job) == seen


def test_a_run_after_its_last_step_is_not_done_before_its_summary(tmp_path: Path) -> None:
    job = GRID.jobs(tmp_path)[0]
    begin(job, rows=8).close()
    assert look_at_run(job).done == 0.99


def test_a_finished_run_is_done(tmp_path: Path) -> None:
    job = GRID.jobs(tmp_path)[0]
    with begin(job, rows=2) as writer:
        writer.finish(Summary(2, 1.0, FINAL, {}))
    assert look_at_run(job).done == 1.0


def test_a_study_is_the_mean_of_its_runs(tmp_path: Path) -> None:
    none, half = jobs = GRID.jobs(tmp_path)
    with begin(none, rows=2) as writer:
        writer.finish(Summary(2, 1.0, FINAL, {}))
    begin(half, rows=4).close()
    seen = look_at_study(jobs, [half])
    assert (seen.finished, seen.planned, seen.done) == (1, 2, 0.75)
    assert [run.name for run in seen.running] == ["d-s0"]


def test_the_time_left_counts_neither_starting_up_nor_what_was_done_before() -> None:
    pace = Pace()
    assert pace.left(0.5, now=100.0) is None
    assert pace.left(0.5, now=130.0) is None
    assert pace.left(0.6, now=140.0) == pytest.approx(40)
    assert pace.left(0.75, now=155.0) == pytest.approx(25)


def shown(jobs: Sequence[Job], running: Sequence[Job], *, terminal: bool) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=90)
    with displayed(jobs, console) as watch:
        for _ in range(3):
            watch(running, ())
    return text.getvalue()


def test_a_log_gets_one_sober_line_now_and_then(tmp_path: Path) -> None:
    jobs = GRID.jobs(tmp_path)
    begin(jobs[0], rows=4).close()
    assert shown(jobs, jobs[:1], terminal=False) == " 25%  0 of 2 runs finished\n"


def test_a_log_gets_no_line_without_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display_module, "_LINE", 0.0)
    jobs = GRID.jobs(tmp_path)
    assert shown(jobs, jobs[:1], terminal=False) == "  0%  0 of 2 runs finished\n"


def test_a_terminal_gets_a_line_for_each_running_run(tmp_path: Path) -> None:
    jobs = GRID.jobs(tmp_path)
    begin(jobs[1], rows=4).close()
    text = shown(jobs, jobs, terminal=True)
    assert "none-s0" in text
    assert "starting" in text
    assert "loss 0.250" in text
    assert "dropout 0.300" in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (9.6, ", about 0:10 left"), (3725.0, ", about 1:02:05 left")],
)
def test_the_time_left_is_said_as_a_clock(seconds: float | None, said: str) -> None:
    progress = look_at_study(GRID.jobs("nowhere"), ())
    line = display_module.one_line(progress, seconds)
    assert line == f"  0%  0 of 2 runs finished{said}"
