from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from droptime.cores import cores
from droptime.errors import ConfigError
from droptime.records import JSON, read_run
from droptime.study import Failure, Grid, Job, Watcher, launch
from tests.unit.study.stub_training import calls

HERE = Path(__file__).parent
ENTRY = "stub_training:train"


@pytest.fixture(autouse=True)
def _stub_is_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))


def jobs_in(study: Path, *, seeds: int = 2, **base: JSON) -> tuple[Job, ...]:
    arms: dict[str, dict[str, str]] = {"none": {}, "half": {"dropout": "standard(0.5)"}}
    return Grid(name="stub", arms=arms, seeds=tuple(range(seeds)), base={"epochs": 3, **base}).jobs(
        study
    )


def silent(running: Sequence[Job], failures: Sequence[Failure]) -> None:
    pass


def train(
    jobs: Sequence[Job], study: Path, *, workers: int, watch: Watcher = silent
) -> tuple[Failure, ...]:
    return launch(jobs, entry=ENTRY, logs=study / "logs", workers=workers, watch=watch)


def test_two_long_lived_workers_share_the_jobs_at_the_same_time(tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path, meet=2)
    assert train(jobs, tmp_path, workers=2) == ()
    assert all(job.finished for job in jobs)
    processes = [process for made in calls(tmp_path).values() for process, _ in made]
    assert len(processes) == 4
    assert len(set(processes)) == 2
    assert os.getpid() not in processes


def test_jobs_are_begun_in_their_order(tmp_path: Path) -> None:
    begun: list[str] = []

    def watch(running: Sequence[Job], failures: Sequence[Failure]) -> None:
        begun.extend(job.name for job in running if job.name not in begun)

    train(jobs_in(tmp_path, pause=0.01), tmp_path, workers=1, watch=watch)
    assert begun == ["none-s0", "half-s0", "none-s1", "half-s1"]


def test_each_worker_computes_with_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    jobs = jobs_in(tmp_path, seeds=1)
    workers = 2 * cores()
    train(jobs, tmp_path, workers=workers)
    summary = read_run(jobs[0].path).summary
    assert summary is not None
    assert summary.environment["threads"] == "1"
    assert summary.environment["cores"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_gpus_are_shared_out_among_the_workers(tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path, meet=3)
    launch(jobs, entry=ENTRY, logs=tmp_path / "logs", workers=3, gpus=("0", "2"))
    seen: dict[int, str] = {}
    for job in jobs:
        summary = read_run(job.path).summary
        assert summary is not None
        seen[calls(tmp_path)[job.name][0][0]] = summary.environment["gpu"]
    assert sorted(seen.values()) == ["0", "0", "2"]


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path)
    train(jobs[:2], tmp_path, workers=1)
    before = calls(tmp_path)
    train(jobs, tmp_path, workers=1)
    after = calls(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(after) == 4


def test_nothing_starts_when_all_is_finished(tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path, seeds=1)
    train(jobs, tmp_path, workers=1)
    assert launch(jobs, entry="no_such_module:train", logs=tmp_path / "logs") == ()


def test_a_failing_run_does_not_stop_the_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    jobs = jobs_in(tmp_path, fails={"half": "raise"})
    failures = train(jobs, tmp_path, workers=2)
    assert [failure.job.name for failure in failures] == ["half-s0", "half-s1"]
    assert failures[0].error == "ValueError: arm half cannot be trained"
    assert [job.name for job in jobs if job.finished] == ["none-s0", "none-s1"]
    log = failures[0].log.read_text()
    assert "training half-s" in log
    assert "Traceback" in log
    assert capfd.readouterr() == ("", "")


def test_a_run_that_takes_its_worker_down_costs_only_itself(tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path, fails={"half": int(signal.SIGKILL)})
    failures = train(jobs, tmp_path, workers=1)
    assert [failure.job.name for failure in failures] == ["half-s0", "half-s1"]
    assert "SIGKILL" in failures[0].error
    assert "memory" in failures[0].error
    assert [job.name for job in jobs if job.finished] == ["none-s0", "none-s1"]


def test_an_entry_point_that_does_not_exist_fails_each_run_by_name(tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path, seeds=1)
    failures = launch(jobs, entry="no_such_module:train", logs=tmp_path / "logs", workers=1)
    assert [failure.job.name for failure in failures] == ["none-s0", "half-s0"]
    assert "no_such_module" in failures[0].error


@pytest.mark.parametrize("entry", ["droptime.training", "module:", ":function"])
def test_an_entry_point_of_another_form_is_refused_at_once(tmp_path: Path, entry: str) -> None:
    with pytest.raises(ConfigError, match="module:function"):
        launch(jobs_in(tmp_path), entry=entry, logs=tmp_path)


def test_no_workers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        train(jobs_in(tmp_path), tmp_path, workers=0)


def test_an_interrupt_ends_the_workers_and_a_rerun_goes_on(tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path, seeds=1, epochs=8, pause=0.1)

    def interrupt(running: Sequence[Job], failures: Sequence[Failure]) -> None:
        if _steps(jobs[0]) >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(jobs, tmp_path, workers=2, watch=interrupt)
    (worker, _), *_ = calls(tmp_path)["none-s0"]
    assert not _alive(worker)
    assert not jobs[0].finished

    assert train(jobs, tmp_path, workers=2) == ()
    first, second = calls(tmp_path)["none-s0"]
    assert first[1] == 0
    assert second[1] >= 2
    assert [row.step for row in read_run(jobs[0].path).steps] == list(range(8))


SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from tests.unit.study.test_study_launch import jobs_in, train
study = Path({study!r})
train(jobs_in(study, seeds=1, epochs=4000, pause=0.05), study, workers=2)
"""


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A launcher in a process group of its own, as a terminal would start it."""
    paths = [str(HERE), str(HERE.parents[2])]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(paths=paths, study=str(tmp_path))],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)


def test_ctrl_c_reaches_the_launcher_alone_and_all_end(
    tmp_path: Path, launched: subprocess.Popen[str]
) -> None:
    _until(lambda: all(_steps(job) for job in jobs_in(tmp_path, seeds=1)))
    workers = [made[0][0] for made in calls(tmp_path).values()]
    assert launched.pid not in [os.getpgid(worker) for worker in workers]
    os.killpg(launched.pid, signal.SIGINT)
    _, errors = launched.communicate(timeout=10)
    assert launched.returncode != 0
    assert errors.count("KeyboardInterrupt") == 1
    _until(lambda: not any(map(_alive, workers)))


def test_workers_end_with_a_launcher_that_is_killed(
    tmp_path: Path, launched: subprocess.Popen[str]
) -> None:
    _until(lambda: all(_steps(job) for job in jobs_in(tmp_path, seeds=1)))
    launched.kill()
    _until(lambda: not any(_alive(made[0][0]) for made in calls(tmp_path).values()))


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def _steps(job: Job) -> int:
    rows = job.path / "rows.jsonl"
    return len(rows.read_bytes().splitlines()) if rows.exists() else 0


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
