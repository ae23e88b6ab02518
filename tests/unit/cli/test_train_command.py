"""``droptime train``: its settings, what it prints, and how it goes on."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from droptime.cli import main
from droptime.cli.pairs import read_pairs
from droptime.cli.train import plan
from droptime.cli.train_progress import TrainProgress
from droptime.errors import ConfigError
from droptime.records import EvalRow, StepRow, read_run
from droptime.schedules import parse
from droptime.training import TrainConfig, basic, digits, late, with_arm
from droptime.training.measuring.evaluate import Evaluator

SMALL = ["--epochs", "2", "--train-limit", "80", "--test-limit", "30", "--batch-size", "16"]
SMALL += ["--model-args", "patch_size=4", "embed_dim=16", "depth=1"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["droptime", "train", *arguments])
    monkeypatch.setenv("COLUMNS", "100")
    try:
        main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_trains_and_says_how_it_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    curve = "early(0.1, until=50%)"
    arguments = ["digits", *SMALL, "--dropout", curve, "--out", str(tmp_path)]
    assert run(monkeypatch, *arguments) == 0
    final = read_run(tmp_path).summary.final  # type: ignore[union-attr]
    printed = capsys.readouterr().out
    assert "80 training and 30 test images in 10 classes" in printed
    assert f"epoch 2: train loss {final.train_loss:.4f}" in printed
    assert f"test accuracy {final.test_accuracy:.2%}. Weights and records: {tmp_path}" in printed
    assert read_run(tmp_path).config["dropout"] == str(parse(curve))
    assert all(printed.splitlines()), "an empty line"
    spelled = ["early(.10,until=50.0%)" if text == curve else text for text in arguments]
    assert run(monkeypatch, *spelled) == 0
    assert "Finished before" in capsys.readouterr().out


def test_an_evaluation_fits_a_line_of_80() -> None:
    row = EvalRow(35999, 300.0, 1.3817, 0.2812, 1.3989, 1.0, "ema")
    console = Console(width=80, record=True, file=StringIO(), force_terminal=True)
    progress = TrainProgress(console, again="")
    progress.hear(row)
    (line,) = console.export_text().strip().splitlines()
    assert len(line) <= 80


def test_other_settings_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "digits", *SMALL, "--out", str(tmp_path)) == 0
    assert run(monkeypatch, "digits", *SMALL, "--lr", "1", "--out", str(tmp_path)) == 2
    assert "lr: 0.003 there, 1.0 asked" in capsys.readouterr().err


def test_ctrl_c_prints_the_command_that_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = Evaluator.row

    def pressed(self: Evaluator, *args: object, **kwargs: object) -> EvalRow:
        signal.raise_signal(signal.SIGINT)
        return original(self, *args, **kwargs)  # type: ignore[arg-type]

    arguments = ["digits", *SMALL, "--dropout", "standard(0.1)", "--out", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "row", pressed)
        assert run(patch, *arguments) == 130
    printed = capsys.readouterr().out
    assert "Stopped after 5 steps and saved" in printed
    assert "droptime train digits --epochs 2" in printed
    assert "--dropout 'standard(0.1)'" in printed
    assert run(monkeypatch, *arguments) == 0
    assert "Going on after 5 steps" in capsys.readouterr().out


def test_a_stopped_run_goes_on_with_other_settings_if_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(self: Evaluator, *args: object, **kwargs: object) -> EvalRow:
        raise KeyboardInterrupt

    arguments = ["digits", *SMALL, "--checkpoint-every", "2", "--out", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "row", pressed)
        assert run(patch, *arguments) == 130
    other = [*arguments, "--lr", "0.001"]
    assert run(monkeypatch, *other) == 2
    assert "--allow-change" in capsys.readouterr().err
    assert run(monkeypatch, *other, "--allow-change") == 0
    assert "Going on after 4 steps" in capsys.readouterr().out
    assert [change.step for change in read_run(tmp_path).changes] == [4]


def test_a_skipped_step_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainProgress(Console(), again="") as progress:
        progress.hear(StepRow(1204, 1.0, 2.0, 0.1, {}, skipped=(1203,)))
    assert "step 1,203: not finite, skipped" in capsys.readouterr().out


def test_print_config_trains_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x"
    arguments = ["--data", "folder:x", "--flip", "0.5", "--compile", "--out", str(out)]
    assert run(monkeypatch, *arguments, "--print-config") == 0
    printed = TrainConfig.from_dict(json.loads(capsys.readouterr().out))
    assert printed == TrainConfig(data="folder:x", flip=0.5, compile=True)
    assert not out.exists()


def test_every_setting_is_an_option_with_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--help") == 0
    words = capsys.readouterr().out.replace("│", " ").split()
    text = " ".join(words)
    for spec in dataclasses.fields(TrainConfig):
        assert f"--{spec.name.replace('_', '-')}" in words, spec.name
    assert "peak learning rate of AdamW [0.001]" in text


def test_options_change_the_ready_settings() -> None:
    changed = plan("digits", {"mixup": 0.0, "lr": 1.0, "model_args": {"depth": 6}})
    wanted = {**digits().model_args, "depth": 6}
    assert changed == dataclasses.replace(digits(), lr=1.0, model_args=wanted)


def test_zero_is_given(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "digits", "--smoothing", "0", "--print-config") == 0
    assert json.loads(capsys.readouterr().out)["smoothing"] == 0


@pytest.mark.parametrize("none", ["none", "None"])
def test_none_switches_off_what_a_recipe_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], none: str
) -> None:
    assert (
        run(monkeypatch, "late", "--drop-path", none, "--crop-scale", none, "--print-config") == 0
    )
    config = json.loads(capsys.readouterr().out)
    assert config["drop_path"] is config["crop_scale"] is None
    assert config["arm"] == "run"


@pytest.mark.parametrize(
    ("option", "expected"),
    [("--epochs", "a whole number, not 'none'"), ("--clip-grad", "a number, or none, not 'x'")],
)
def test_a_value_of_another_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str, expected: str
) -> None:
    word = expected.split("'")[1]
    assert run(monkeypatch, "digits", option, word, "--print-config") == 2
    assert expected in capsys.readouterr().err


def test_data_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 2
    assert "Try droptime train digits" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["depth", "=3"])
def test_pairs_of_another_form(text: str) -> None:
    with pytest.raises(ConfigError, match="expected KEY=VALUE"):
        read_pairs("--model-args", [text])


def test_a_key_given_twice() -> None:
    with pytest.raises(ConfigError, match="'depth' twice"):
        read_pairs("--model-args", ["depth=1", "depth=2"])


def test_a_recipe_of_the_paper_has_the_rates_of_its_model() -> None:
    assert plan("late", {"model": "mixer_b16"}) == late("mixer_b16")
    assert plan("late", {"model": "mixer_b16"}).drop_path != late().drop_path
    assert plan("cifar10", {"model": "swin_f"}).model == "swin_f"


def test_an_arm_of_the_paper_says_how_sure_its_rate_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for model, note in (("vit_t16", ""), ("swin_f", "early-drop-path of swin_f at rate 0.5")):
        arguments = ["basic", "--model", model, "--paper-arm", "early-drop-path", "--print-config"]
        assert run(monkeypatch, *arguments) == 0
        printed = capsys.readouterr()
        config = TrainConfig.from_dict(json.loads(printed.out))
        assert config == with_arm(basic(model), "early-drop-path")
        assert printed.err.startswith(note)
        assert bool(printed.err) == bool(note)
    assert run(monkeypatch, "late", "--model", "mixer_b16", "--print-config") == 0
    assert "late-drop-path of mixer_b16 at rate 0.2: unverified" in capsys.readouterr().err
    assert run(monkeypatch, "late", "--drop-path", "late(0.3, since=50ep)", "--print-config") == 0
    assert capsys.readouterr().err == ""
    assert run(monkeypatch, "late", "--paper-arm", "none") == 2
    assert "choose one" in capsys.readouterr().err


def test_dry_run_shows_the_run_and_trains_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, curve = tmp_path / "x", "early(0.1, until=50%)"
    arguments = ["digits", *SMALL, "--dropout", curve, "--out", str(out), "--dry-run"]
    assert run(monkeypatch, *arguments) == 0
    printed = capsys.readouterr().out
    for expected in (
        "digits: 80 training and 30 test images of 8 x 8 x 1 in 10 classes",
        "10: 2 epochs of 5, 16 images a step",
        "0 at the first step, 0.003 from step 1,",
        "memory      about",
        "blocks.0.attn.attn_drop",
        "driven by",
    ):
        assert expected in printed
    assert re.search(r"5 +1\.0 +0 +cutoff", printed)
    assert not out.exists()


def test_measured_gradients_are_counted_before_and_told_as_they_come(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["digits", *SMALL, "--probe-every", "4", "--probe-batches", "3"]
    assert run(monkeypatch, *arguments, "--dry-run") == 0
    counted = "measured 6 times: up to 8 backward passes each, 48 beside the 10 of training"
    assert counted in capsys.readouterr().out
    assert run(monkeypatch, *arguments, "--out", str(tmp_path / "x")) == 0
    told = re.findall(r"step (\d+): gradients: norm [\d.]+, GDV", capsys.readouterr().out)
    assert told == ["0", "1", "2", "4", "8", "10"]
