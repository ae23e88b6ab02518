"""``droptime data check``: what it prints, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from droptime.cli import main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["droptime", "data", "check", *arguments])
    monkeypatch.setenv("COLUMNS", "100")
    try:
        main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    for label in ("one", "two"):
        (tmp_path / label).mkdir()
        for index in range(8):
            pixels = draw.integers(0, 256, (20, 20, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{index}.png")
    return tmp_path


def test_exit_status_and_names(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f"folder:{folder}"
    assert run(monkeypatch, data, "--strict") == 0
    assert "16 in all; 2 classes.\nNothing is wrong" in capsys.readouterr().out
    assert run(monkeypatch, data, "--min-side", "21") == 0
    printed = capsys.readouterr().out
    assert "warning small 16: a side is shorter than 21 pixels" in printed
    assert "and 11 more" in printed
    assert run(monkeypatch, data, "--min-side", "21", "--strict") == 1
    capsys.readouterr()
    (folder / "two" / "7.png").write_bytes(b"torn")
    assert run(monkeypatch, data) == 1
    assert f"{folder / 'two' / '7.png'} (no image" in capsys.readouterr().out
    assert run(monkeypatch, data, "--json", "--min-side", "21") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["splits"], told["classes"]) == ({"all": 16}, 2)
    assert [finding["kind"] for finding in told["findings"]] == ["unreadable", "small"]
    assert len(told["findings"][1]["names"]) == 15


def test_what_cannot_be_read_at_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, f"folder:{tmp_path / 'nothing'}") == 2
    assert "is not a folder" in capsys.readouterr().err
    assert run(monkeypatch, "pets", "--data-dir", str(tmp_path)) == 2
    assert "torch/oxford_iiit_pet (train) cannot be read" in capsys.readouterr().err
