"""``droptime dynamics RUN`` finds what the run recorded itself, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from droptime.records import DynamicsRow, RunWriter, read_run
from droptime.records.rows import encode_row
from droptime.training import Event, TrainConfig, train
from tests.unit.cli.test_dynamics_command import ARGUMENTS, run


def test_what_a_probed_run_recorded_is_measured_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Checkpoints first, while there are any; then the weights at the end."""
    config = TrainConfig(
        data="digits", train_limit=64, test_limit=30, model_args=ARGUMENTS, epochs=2,
        batch_size=16, dropout="early(0.4, until=1ep)", checkpoint_every=2, device="cpu",
        probe_every=2, probe_batches=3,
    )  # fmt: skip

    def stop(event: Event) -> None:
        if isinstance(event, DynamicsRow) and event.step == 6:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        train(config, tmp_path / "run", listen=stop)
    assert run(monkeypatch, str(tmp_path / "run"), "--json") == 0
    told = json.loads(capsys.readouterr().out)["rows"]
    train(config, tmp_path / "run")
    rows = {row.step: row for row in read_run(tmp_path / "run").dynamics}
    assert told == [_plain(rows[4]), _plain(rows[6])]
    assert run(monkeypatch, str(tmp_path / "run"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == [_plain(rows[8])]


def _plain(row: DynamicsRow) -> Any:
    told = json.loads(encode_row(row))
    return {name: told[name] for name in told.keys() - {"v", "kind"}}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--probe-every", "50"), "--probe-every: a run that is there"),
        (("--out", "elsewhere"), "--out: a run that is there"),
        (("--workers", "2", "--seeds", "2"), "--seeds, --workers: a run that is there"),
    ],
)
def test_what_does_not_act_on_a_run_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    says: str,
) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert run(monkeypatch, str(tmp_path), *options) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "No --data given"),
        (("digits", "--workers", "0"), "expected at least 1"),
        (("digits", "--json"), "give the folder of a run"),
        (("digits", "--seeds", "0"), "at least one seed"),
        (("cifar",), "There is no ready study 'cifar': did you mean 'cifar10'?"),
        (("runs/nowhere",), "runs/nowhere is no folder of a run"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    says: str,
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert says in capsys.readouterr().err


def test_a_run_without_weights_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RunWriter.create(tmp_path, TrainConfig(data="digits").to_dict()).close()
    assert run(monkeypatch, str(tmp_path)) == 2
    assert "has no weights to measure" in capsys.readouterr().err
