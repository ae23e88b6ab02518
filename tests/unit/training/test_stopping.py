"""SIGTERM and SIGUSR1: the run is saved and the process asks to be started again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from droptime.errors import RecordError
from droptime.records import EvalRow, read_run
from droptime.training import Event, Preempted, Saved, TrainConfig, train
from droptime.training.saving import checkpoint

Tiny = Callable[..., TrainConfig]

_PREEMPTIONS = [signal.SIGTERM, signal.SIGUSR1]


@pytest.fixture(params=_PREEMPTIONS, ids=lambda number: number.name)
def preemption(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that nobody handles, as in a fresh process."""
    number: signal.Signals = request.param
    before = signal.signal(number, signal.SIG_DFL)
    yield number
    signal.signal(number, before)


def test_an_unhandled_one_ends_the_process_with_75_after_saving(
    tiny: Tiny, tmp_path: Path, preemption: signal.Signals
) -> None:
    heard: list[Event] = []

    def press(event: Event) -> None:
        heard.append(event)
        if isinstance(event, EvalRow):
            signal.raise_signal(preemption)

    with pytest.raises(Preempted) as ended:
        train(tiny(checkpoint_every=1000), tmp_path, listen=press)
    assert ended.value.code == 75
    assert not isinstance(ended.value, Exception)
    assert isinstance(heard[-1], Saved)
    assert heard[-1].step == 6
    assert heard[-1].path.exists()
    assert signal.getsignal(preemption) is signal.SIG_DFL


def test_an_error_while_saving_says_more_than_the_signal(
    tiny: Tiny, tmp_path: Path, preemption: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RecordError("No space left.")

    def press(event: Event) -> None:
        if isinstance(event, EvalRow):
            monkeypatch.setattr(checkpoint, "save", full)
            signal.raise_signal(preemption)

    with pytest.raises(RecordError, match="No space left"):
        train(tiny(checkpoint_every=1000), tmp_path, listen=press)


def test_the_command_exits_with_75_and_goes_on(tiny: Tiny, tmp_path: Path) -> None:
    script = f"""
import os, signal, sys
from droptime import cli
from droptime.training.measuring.evaluate import Evaluator

original = Evaluator.row

def pressed(self, *args, **kwargs):
    os.kill(os.getpid(), signal.SIGUSR1)
    return original(self, *args, **kwargs)

if "again" not in sys.argv:
    Evaluator.row = pressed
sys.argv = {["droptime", "train", *_arguments(tiny()), "--out", str(tmp_path / "run")]!r}
cli.main()
"""
    first = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert first.returncode == 75, first.stderr
    assert "Stopped after 5 steps and saved" in first.stdout
    again = subprocess.run([sys.executable, "-c", script, "again"], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "Going on after 5 steps" in again.stdout
    assert [row.step for row in read_run(tmp_path / "run").evals] == [4, 9, 14]


@pytest.mark.parametrize("ends", ["75", "0", "2"])
def test_the_batch_script_of_the_page_asks_for_a_requeue_after_75(
    tmp_path: Path, ends: str
) -> None:
    page = Path(__file__).parents[3] / "docs" / "training.md"
    (script,) = re.findall(r"```shell\n(.*?)```", page.read_text(), re.DOTALL)
    stop = f"trap 'sleep 0.3; exit {ends}' USR1"
    stubs = {
        "droptime": f"{stop}; touch began; while :; do sleep 0.05; done",
        "scontrol": 'echo "$@" > asked',
    }
    for name, body in stubs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "SLURM_JOB_ID": "7"}
    job = subprocess.Popen(["bash", "-c", script], cwd=tmp_path, env=environment)
    while not (tmp_path / "began").exists() and job.poll() is None:
        time.sleep(0.02)
    job.send_signal(signal.SIGUSR1)
    assert job.wait() == int(ends)
    asked = tmp_path / "asked"
    assert (asked.read_text() if asked.exists() else None) == (
        "requeue 7\n" if ends == "75" else None
    )


def _arguments(config: TrainConfig) -> list[str]:
    plain = TrainConfig(data="digits").to_dict()
    changed = {name: v for name, v in config.to_dict().items() if v != plain[name]}
    pairs = changed.pop("model_args")
    assert isinstance(pairs, dict)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in changed.items()]
    model = [f"{name}={json.dumps(value)}" for name, value in pairs.items()]
    return ["--data=digits", *options, "--model-args", *model]
