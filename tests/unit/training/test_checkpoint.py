from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from droptime.errors import CheckpointError, RecordError
from droptime.training.saving.checkpoint import (
    Checkpoint,
    load,
    load_newest,
    remove_all,
    save,
    steps_saved,
    sweep,
)


def sample(step: int) -> Checkpoint:
    weight = torch.arange(6.0).reshape(2, 3) + step
    tensors = {"w": weight, "transposed": weight.T, "same": weight, "state": torch.tensor(3)}
    return Checkpoint(step, tensors, {"list": [1, None, 0.1], "text": "é"})


def assert_same(found: Checkpoint, wanted: Checkpoint) -> None:
    assert found.step == wanted.step
    assert found.values == wanted.values
    assert found.tensors.keys() == wanted.tensors.keys()
    for name, value in wanted.tensors.items():
        assert torch.equal(found.tensors[name], value)


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    save(tmp_path / "new", sample(3))
    found, problems = load_newest(tmp_path / "new")
    assert found is not None
    assert problems == []
    assert_same(found, sample(3))


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_last_ones_are_kept(tmp_path: Path, keep: int) -> None:
    for step in (9, 10, 11, 100):
        save(tmp_path, sample(step), keep=keep)
    assert steps_saved(tmp_path) == [10, 11, 100][-keep:]
    assert len(list(tmp_path.iterdir())) == 2 * keep


def test_a_run_that_went_back_keeps_what_it_saves(tmp_path: Path) -> None:
    """The newest one was corrupt: it must not push out the one that is new."""
    save(tmp_path, sample(9), keep=1).write_text("{")
    save(tmp_path, sample(5), keep=1)
    assert steps_saved(tmp_path) == [5]


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("harm", ["torn", "flipped", "empty", "gone"])
def test_a_harmed_newest_one_is_passed_over_by_name(tmp_path: Path, suffix: str, harm: str) -> None:
    save(tmp_path, sample(1))
    save(tmp_path, sample(2))
    victim = (tmp_path / "step-00000002").with_suffix(suffix)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "gone":
        victim.unlink()
    else:
        harmed = {"torn": victim.read_bytes()[:-5], "flipped": bytes(content), "empty": b""}
        victim.write_bytes(harmed[harm])
    found, problems = load_newest(tmp_path)
    assert found is not None
    assert_same(found, sample(1))
    if (suffix, harm) == (".json", "gone"):  # without its JSON file there was no checkpoint
        assert problems == []
    else:
        assert len(problems) == 1
        assert "step-00000002" in problems[0]


def test_every_single_bit_of_the_json_is_guarded(tmp_path: Path) -> None:
    path = save(tmp_path, sample(1))
    content = path.read_bytes()
    for place in range(len(content)):
        harmed = bytearray(content)
        harmed[place] ^= 1
        path.write_bytes(harmed)
        with pytest.raises(CheckpointError):
            load(tmp_path, 1)


@pytest.mark.parametrize("text", ["[" * 100_000, "null", "[]", '{"body": [1], "checksum": "x"}'])
def test_a_json_file_of_something_else(text: str, tmp_path: Path) -> None:
    save(tmp_path, sample(1)).write_text(text)
    with pytest.raises(CheckpointError, match="torn or unreadable"):
        load(tmp_path, 1)


def test_none_whole_is_none(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "nowhere") == (None, [])
    save(tmp_path, sample(1)).write_text("{")
    found, problems = load_newest(tmp_path)
    assert found is None
    assert "torn" in problems[0]


def test_half_written_files_are_swept(tmp_path: Path) -> None:
    save(tmp_path, sample(1))
    (tmp_path / ".step-00000002.json.ab12.tmp").write_text("{")
    load_newest(tmp_path)  # another process may be writing it
    assert len(list(tmp_path.iterdir())) == 3
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    sweep(tmp_path / "nowhere")


def test_a_newer_format_says_to_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("droptime.training.saving.checkpoint._VERSION", 2)
    save(tmp_path, sample(1))
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="upgrade"):
        load(tmp_path, 1)


def test_a_failed_write_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, sample(1))

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(RecordError, match="No space left"):
        save(tmp_path, sample(2))
    monkeypatch.undo()
    assert steps_saved(tmp_path) == [1]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("mine")
    with pytest.raises(RecordError, match=r"cannot create .*checkpoints: File exists"):
        save(tmp_path / "checkpoints", sample(1))


def test_removing_all_leaves_what_is_not_ours(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    save(folder, sample(1))
    (folder / "notes").write_text("mine")
    remove_all(folder)
    assert [path.name for path in folder.iterdir()] == ["notes"]
    (folder / "notes").unlink()
    remove_all(folder)
    assert not folder.exists()


def test_nothing_is_pickled(tmp_path: Path) -> None:
    path = save(tmp_path, sample(1))
    json.loads(path.read_text())
    assert path.with_suffix(".safetensors").read_bytes()[8:9] == b"{"
