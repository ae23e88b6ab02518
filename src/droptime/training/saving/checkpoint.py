"""Checkpoints that are whole or not there: safetensors and JSON, a checksum over each.

A checkpoint is ``step-00000123.safetensors`` with every tensor, and ``step-00000123.json``
with everything else and the checksum of the first. The second is written last: without it
there is no checkpoint. Nothing is pickled, so a checkpoint from a stranger runs no code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor

from droptime.errors import CheckpointError
from droptime.records import JSON, disk, write_atomic

_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run needs to go on as if it had not stopped.

    Attributes:
        step: optimizer steps done.
        tensors: by name.
        values: the rest, as JSON.
    """

    step: int
    tensors: Mapping[str, Tensor]
    values: Mapping[str, JSON]


def save(folder: Path, checkpoint: Checkpoint, *, keep: int = 2) -> Path:
    """Write a checkpoint and keep the last ``keep`` up to it; return its JSON file.

    Those of later steps go too: the run went on from before them, and would not get so far.

    Raises:
        RecordError: the disk refused; older checkpoints are as they were.
    """
    tensors_path, manifest_path = _paths(folder, checkpoint.step)
    with disk("create", folder):
        folder.mkdir(parents=True, exist_ok=True)
    checksum = save_tensors(tensors_path, checkpoint.tensors)
    body = {
        "v": _VERSION,
        "step": checkpoint.step,
        "tensors": checksum,
        "values": checkpoint.values,
    }
    write_atomic(manifest_path, json.dumps({"checksum": _digest(body), "body": body}))
    saved = steps_saved(folder)
    kept = [step for step in saved if step <= checkpoint.step][-keep:]
    for step in set(saved).difference(kept):
        _remove(folder, step)
    return manifest_path


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write tensors as safetensors, atomically; return the file's SHA-256.

    Raises:
        RecordError: the disk refused.
    """
    plain = {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}
    content = dump_tensors({name: value.contiguous() for name, value in plain.items()})
    write_atomic(path, content)
    return hashlib.sha256(content).hexdigest()


def load_newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest whole checkpoint, and what was wrong with each newer one.

    None if no checkpoint is whole.
    """
    problems: list[str] = []
    for step in reversed(steps_saved(folder)):
        try:
            return load(folder, step), problems
        except CheckpointError as error:
            problems.append(str(error))
    return None, problems


def load(folder: Path, step: int) -> Checkpoint:
    """Read one checkpoint.

    Raises:
        CheckpointError: a file is missing, torn or corrupt, of another step, or of a newer release.
    """
    tensors_path, manifest_path = _paths(folder, step)
    body = _read_manifest(manifest_path)
    if body.get("step") != step or not isinstance(body.get("values"), dict):
        raise CheckpointError(f"{manifest_path} is no checkpoint after {step} steps.")
    try:
        content = tensors_path.read_bytes()
        if hashlib.sha256(content).hexdigest() != body.get("tensors"):
            raise CheckpointError(f"{tensors_path} is corrupt: its checksum does not match.")
        return Checkpoint(step, parse_tensors(content), body["values"])
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{tensors_path} cannot be read: {error}.") from error


def steps_saved(folder: Path) -> list[int]:
    """Return the steps of the checkpoints in a folder, oldest first."""
    names = [path.stem.removeprefix("step-") for path in folder.glob("step-*.json")]
    return sorted(int(name) for name in names if name.isdecimal())


def sweep(folder: Path) -> None:
    """Remove files that a killed process left half-written; for the one process that writes."""
    for left_over in folder.glob(".*.tmp"):
        left_over.unlink(missing_ok=True)


def remove_all(folder: Path) -> None:
    """Remove every checkpoint, and the folder if nothing else is in it."""
    for step in steps_saved(folder):
        _remove(folder, step)
    with suppress(OSError):
        folder.rmdir()


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        body: dict[str, Any] = manifest["body"]
        whole = manifest["checksum"] == _digest(body)
        version = int(body["v"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is torn or unreadable ({error!r}).") from error
    if not whole:
        raise CheckpointError(f"{path} is corrupt: its checksum does not match.")
    if version > _VERSION:
        raise CheckpointError(f"{path} comes from a newer droptime (format {version}): upgrade.")
    return body


def _digest(body: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _paths(folder: Path, step: int) -> tuple[Path, Path]:
    stem = folder / f"step-{step:08d}"
    return stem.with_suffix(".safetensors"), stem.with_suffix(".json")


def _remove(folder: Path, step: int) -> None:
    """Remove a checkpoint, its JSON file first: what is left half-removed is no checkpoint."""
    for path in reversed(_paths(folder, step)):
        with suppress(OSError):
            path.unlink(missing_ok=True)
