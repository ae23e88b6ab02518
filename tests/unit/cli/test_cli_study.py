from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from droptime import cli
from droptime.cli import study_run
from droptime.cli.study import Shared, plan
from droptime.errors import ConfigError, DroptimeError
from droptime.records import read_study
from droptime.study import Failure
from tests.unit.study.stub_training import calls

STUB = Path(__file__).parents[1] / "study"
OWN = ("--data", "folder:/images/flowers", "--model", "vit_tiny_patch16_224")


@pytest.fixture
def _no_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let runs be written by the stub, in an empty working directory, without a report."""
    monkeypatch.syspath_prepend(str(STUB))
    monkeypatch.setattr(study_run, "ENTRY", "stub_training:train")
    monkeypatch.setattr(study_run, "_report", lambda console, folder: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.chdir(tmp_path)


def droptime(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Call the command line as the shell would; return its exit status."""
    monkeypatch.setattr(sys, "argv", ["droptime", *arguments])
    try:
        cli.main()
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@pytest.mark.usefixtures("_no_training")
def test_a_study_is_trained_into_its_folder_and_then_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("study", *OWN, "--seeds", "2", "--epochs", "2", "--arms", "none", "early")
    assert droptime(monkeypatch, *command) == 0
    said = capsys.readouterr().out
    assert "2 arms x 2 seeds = 4 runs" in said
    assert "into runs/flowers" in said
    study = read_study("runs/flowers")
    assert study.missing == ()
    assert study.manifest.base == {
        "data": "folder:/images/flowers",
        "model": "vit_tiny_patch16_224",
        "epochs": 2,
    }
    before = calls(Path("runs/flowers"))
    assert droptime(monkeypatch, *command) == 0
    assert "4 of them finished before" in capsys.readouterr().out
    assert calls(Path("runs/flowers")) == before


@pytest.mark.usefixtures("_no_training")
@pytest.mark.parametrize(("visible", "workers"), [("0, 1", 2), ("-1", 3), ("0,-1,1", 1)])
def test_as_many_runs_at_a_time_as_gpus_that_cuda_sees_else_as_cores(
    visible: str, workers: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(study_run, "cores", lambda: 3)
    command = ("study", *OWN, "--seeds", "1", "--arms", "none", "--epochs", "1")
    assert droptime(monkeypatch, *command) == 0
    assert f"; {workers} at a time" in capsys.readouterr().out


@pytest.mark.usefixtures("_no_training")
def test_seeds_added_are_said_and_another_base_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("study", *OWN, "--epochs", "1", "--arms", "none", "--out", "here")
    droptime(monkeypatch, *command, "--seeds", "1")
    assert droptime(monkeypatch, *command, "--seeds", "2") == 0
    assert "here: seeds added: 1." in capsys.readouterr().out
    assert read_study("here").manifest.command == shlex.join(["droptime", *command, "--seeds", "2"])
    assert droptime(monkeypatch, *command, "--seeds", "2", "--batch-size", "8") == 2
    assert "batch_size is '(not set)' there and 8 here" in capsys.readouterr().err


@pytest.mark.usefixtures("_no_training")
def test_an_interrupt_says_how_to_continue(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> tuple[Failure, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr(study_run, "launch", interrupted)
    assert droptime(monkeypatch, "study", *OWN) == 130
    assert "0 of 12 runs finished. Run the same command again" in capsys.readouterr().out


@pytest.mark.usefixtures("_no_training")
def test_failed_runs_are_named_with_their_error_and_the_exit_status_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study_run, "ENTRY", "stub_training:missing")
    assert droptime(monkeypatch, "study", *OWN, "--arms", "none", "--seeds", "2") == 1
    said = capsys.readouterr().out
    assert "failed: none-s0, none-s1\n" in said
    assert said.count("AttributeError") == 1
    assert "runs/flowers/logs/none-s0.log" in said


@pytest.mark.slow
def test_real_training_ends_in_a_table_a_verdict_and_a_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ("--epochs", "2", "--train-limit", "64", "--test-limit", "64", "--seeds", "2")
    compared = ("--arms", "none", "standard", "--drop", "dropout", "--dropout", "0.5")
    assert droptime(monkeypatch, "study", "digits", *small, *compared) == 0
    said = capsys.readouterr().out
    assert "2 arms x 2 seeds = 4 runs" in said
    assert "standard-dropout" in said
    assert "Dropout: " in said
    assert "The whole report: runs/digits/report.html" in said
    assert (tmp_path / "runs/digits/report.html").stat().st_size > 10_000
    assert read_study("runs/digits").missing == ()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("digitz",), "did you mean 'digits'?"),
        ((), "No --data given"),
        (("--data", "folder:x"), "No --model given"),
        ((*OWN, "--arms", "none", "lat"), "did you mean 'late'?"),
        ((*OWN, "--settings", "lr"), "expected KEY=VALUE"),
        ((*OWN, "--settings", "epoch=3"), "did you mean 'epochs'"),
        ((*OWN, "--settings", "seed=3"), "sets 'seed'"),
        ((*OWN, "--dropout", "1.2"), "standard(1.2)"),
        ((*OWN, "--workers", "0"), "--workers 0: expected at least 1"),
        ((*OWN, "--seeds", "-2"), "seeds=-2: a study needs at least one seed"),
        ((*OWN, "--settings", "lr=1", "lr=2"), "--settings gives 'lr' twice"),
        ((*OWN, "--epochs", "5", "--settings", "epochs=3"), "by --epochs and by --settings"),
        (
            (*OWN, "--model-args", "depth=2", "--settings", "model_args={}"),
            "by --model-args and by --settings",
        ),
        ((*OWN, "--cutoff", "150ep"), "past the end of a run of 100 epochs"),
        (("digits", "--cutoff", "50ep", "--epochs", "2"), "past the end of a run of 2 epochs"),
    ],
)
@pytest.mark.usefixtures("_no_training")
def test_what_cannot_work_is_refused_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    assert droptime(monkeypatch, "study", *arguments) == 2
    assert said in capsys.readouterr().err
    assert not list(Path().rglob("*.json"))


def test_options_change_a_ready_study() -> None:
    recipe = plan("digits", shared={"epochs": 2}, compared={"seeds": 1, "drop": "drop_path"})
    assert recipe.name == "digits"
    assert recipe.base["epochs"] == 2
    assert recipe.base["data"] == "digits"
    assert len(recipe.grid().jobs("x")) == 4


def test_none_switches_off_a_setting() -> None:
    assert Shared(settings=("clip_grad=none", "arm=none")).config() == {
        "clip_grad": None,
        "arm": "none",
    }


def test_model_arguments_are_added_to_the_ready_ones_as_training_does() -> None:
    ready = plan("digits", shared={}, compared={}).base["model_args"]
    assert isinstance(ready, dict)
    changed = plan("digits", shared={"model_args": {"depth": 2}}, compared={})
    assert changed.base["model_args"] == {**ready, "depth": 2}


@pytest.mark.usefixtures("_no_training")
@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_folder_that_is_a_file_is_refused_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    Path("file").touch()
    assert droptime(monkeypatch, "study", *OWN, "--out", out) == 2
    assert f"error: cannot create {out}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("folder:/a/My Images", "My-Images"),
        ("torch/cifar100", "torch-cifar100"),
        ("folder:/", "folder"),
    ],
)
def test_a_study_of_ones_own_is_named_for_its_data(data: str, name: str) -> None:
    assert plan(None, shared={"data": data, "model": "x"}, compared={}).name == name


def test_a_ready_study_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="give --data and --model"):
        plan("imagenet", shared={}, compared={})
    assert issubclass(ConfigError, DroptimeError)
