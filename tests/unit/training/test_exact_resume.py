"""A run that is killed and continued ends as one that was not: weights and rows, bit for bit."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import torch

from droptime.dynamics import GradientProbe
from droptime.errors import ConfigError, RecordError
from droptime.records import EvalRow, RunWriter, read_run
from droptime.training import Event, Preempted, Saved, Started, TrainConfig, train
from droptime.training.measuring.evaluate import Evaluator
from droptime.training.step.engine import Engine

Tiny = Callable[..., TrainConfig]

ARMS: dict[str, dict[str, Any]] = {
    "none": {},
    "early": {"dropout": "early(0.3, until=60%)", "clip_grad": 0.5, "eval_every": 2},
    "late drop path": {"drop_path": "late(0.4, since=40%)", "mixup": 0.8, "cutmix": 1.0},
    "everything": {
        "dropout": "standard(0.2)",
        "drop_path": "early(0.5, until=2ep)",
        "accumulate": 4,
        "ema_decay": 0.9,
        "crop_padding": 1,
        "flip": 0.5,
        "erase": 0.5,
        "mixup": 0.5,
        "clip_grad": 1.0,
    },
    "skipping": {"drop_path": "early(0.5, until=2ep)", "skip": "fixed"},
    "measured": {"dropout": "standard(0.2)", "probe_every": 5, "probe_batches": 2},
    "convolutions": {
        "channels_last": True,
        "model": "resnet10t",
        "model_args": {"in_chans": 1},
        "image_size": 32,
        "ema_decay": 0.9,
    },
    "image by image": {
        "augment_on": "cpu",
        "crop_scale": 0.3,
        "flip": 0.5,
        "rand_augment": "rand-m9-mstd0.5-inc1",
        "dropout": "standard(0.2)",
    },
    "batch by batch": {
        "crop_scale": 0.3,
        "rand_augment": "rand-m9-mstd0.5-inc1",
        "erase": 0.5,
        "erase_with": "noise",
        "dropout": "standard(0.2)",
    },
}


class Killed(Exception):  # noqa: N818 - what happens, not what is wrong
    """Stands for a crash: nothing may be saved on the way out."""


@cache
def uninterrupted(config_json: str) -> tuple[str, ...]:
    folder = Path(mkdtemp())
    train(TrainConfig.from_dict(json.loads(config_json)), folder)
    return outcome(folder)


def whole(config: TrainConfig) -> tuple[str, ...]:
    return uninterrupted(json.dumps(config.to_dict()))


def outcome(folder: Path) -> tuple[str, ...]:
    files = ["model.safetensors", "rows.jsonl"]
    files += ["ema.safetensors"] if (folder / "ema.safetensors").exists() else []
    return tuple(hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files)


def kill_at(monkeypatch: pytest.MonkeyPatch, kind: type, method: str, call: int) -> None:
    """Make the ``call``-th call (0-based) of a method raise, after doing its work."""
    original = getattr(kind, method)
    count = 0

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal count
        result = original(self, *args, **kwargs)
        count += 1
        if count == call + 1:
            raise Killed
        return result

    monkeypatch.setattr(kind, method, counted)


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("step", [2, 9, 14])
def test_killed_in_a_step(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: str, step: int
) -> None:
    config = tiny(**ARMS[arm])
    kill_at(monkeypatch, Engine, "update", step)
    with pytest.raises(Killed):
        train(config, tmp_path)
    monkeypatch.undo()
    torch.rand(3)
    train(config, tmp_path)
    assert outcome(tmp_path) == whole(config)


@pytest.mark.parametrize("call", [0, 1, 3])
def test_killed_in_an_evaluation(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    config = tiny(**ARMS["everything"])
    kill_at(monkeypatch, Evaluator, "row", call)
    with pytest.raises(Killed):
        train(config, tmp_path)
    monkeypatch.undo()
    train(config, tmp_path)
    assert outcome(tmp_path) == whole(config)


@pytest.mark.parametrize("call", [0, 2, 4])
def test_killed_in_a_measurement_of_gradients(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    config = tiny(**ARMS["measured"])
    kill_at(monkeypatch, GradientProbe, "__call__", call)
    with pytest.raises(Killed):
        train(config, tmp_path)
    monkeypatch.undo()
    train(config, tmp_path)
    assert outcome(tmp_path) == whole(config)


def test_killed_again_and_again(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(checkpoint_every=1, **ARMS["everything"])
    for _ in range(5):
        with monkeypatch.context() as patch:
            kill_at(patch, Engine, "update", 2)
            with pytest.raises(Killed):
                train(config, tmp_path)
    train(config, tmp_path)
    assert outcome(tmp_path) == whole(config)


@pytest.mark.parametrize(
    "when", [lambda e: isinstance(e, EvalRow), lambda e: getattr(e, "step", 0) == 8]
)
def test_ctrl_c_saves_where_it_is(
    tiny: Tiny, tmp_path: Path, when: Callable[[Event], bool]
) -> None:
    config = tiny(checkpoint_every=1000, **ARMS["everything"])
    heard: list[Event] = []

    def press(event: Event) -> None:
        heard.append(event)
        if when(event) and not any(when(earlier) for earlier in heard[:-1]):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path, listen=press)
    saved = heard[-1]
    assert isinstance(saved, Saved)
    assert saved.path.exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(config, tmp_path, listen=heard.append)
    resumed = next(e for e in reversed(heard) if isinstance(e, Started))
    assert resumed.first_step == saved.step > 0
    assert outcome(tmp_path) == whole(config)


def test_ctrl_c_within_an_evaluation_makes_it_again(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(**ARMS["everything"])
    original = Evaluator.row

    def pressed(self: Evaluator, *args: Any, **kwargs: Any) -> EvalRow:
        signal.raise_signal(signal.SIGINT)
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "row", pressed)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path)
    assert read_run(tmp_path).evals == ()
    train(config, tmp_path)
    assert outcome(tmp_path) == whole(config)


def test_a_terminated_run_saves_and_passes_the_signal_on(tiny: Tiny, tmp_path: Path) -> None:
    passed_on: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: passed_on.append(number))

    def terminate(event: Event) -> None:
        if isinstance(event, EvalRow) and not passed_on:
            signal.raise_signal(signal.SIGTERM)

    try:
        with pytest.raises(Preempted):
            train(tiny(), tmp_path, listen=terminate)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert passed_on == [signal.SIGTERM]
    train(tiny(), tmp_path)
    assert outcome(tmp_path) == whole(tiny())


def test_a_corrupt_newest_checkpoint_is_passed_over_saying_so(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(**ARMS["early"])
    with monkeypatch.context() as patch:
        kill_at(patch, Engine, "update", 10)
        with pytest.raises(Killed):
            train(config, tmp_path)
    newest = tmp_path / "checkpoints" / "step-00000008.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=r"00000008.* is corrupt.* Going on from step 4"):
        train(config, tmp_path)
    assert outcome(tmp_path) == whole(config)


def test_what_a_kill_left_half_written_is_swept_and_what_another_run_writes_is_not(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kill_at(patch, Engine, "update", 5)
        with pytest.raises(Killed):
            train(tiny(), tmp_path)
    half_written = [tmp_path / ".rows.jsonl.1f.tmp", tmp_path / "checkpoints" / ".step-8.2e.tmp"]
    for path in half_written:
        path.write_text("{")
    with RunWriter.resume(tmp_path, step=3), pytest.raises(RecordError, match="another process"):
        train(tiny(), tmp_path)
    assert all(path.exists() for path in half_written)
    train(tiny(), tmp_path)
    assert not any(path.exists() for path in half_written)
    assert outcome(tmp_path) == whole(tiny())


def test_another_config_is_refused_with_what_differs(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kill_at(patch, Engine, "update", 5)
        with pytest.raises(Killed):
            train(tiny(), tmp_path)
    rows = (tmp_path / "rows.jsonl").read_bytes()
    with pytest.raises(ConfigError) as refused:
        train(tiny(epochs=4, dropout="standard(0.1)"), tmp_path)
    assert refused.match("epochs: 3 there, 4 asked")
    assert refused.match(r"dropout: None there, 'standard\(0.1\)' asked")
    assert (tmp_path / "rows.jsonl").read_bytes() == rows


def test_a_finished_run_gives_its_summary_at_once(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = train(tiny(), tmp_path)
    monkeypatch.setattr(Engine, "update", None)
    assert train(tiny(), tmp_path) == summary
    assert not (tmp_path / "checkpoints").exists()


def test_records_have_no_missing_or_doubled_step(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(log_every=1, checkpoint_every=3)
    with monkeypatch.context() as patch:
        kill_at(patch, Engine, "update", 10)
        with pytest.raises(Killed):
            train(config, tmp_path)
    train(config, tmp_path)
    run = read_run(tmp_path)
    assert [row.step for row in run.steps] == list(range(15))
    assert [row.step for row in run.evals] == [4, 9, 14]
