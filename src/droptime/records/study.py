"""A study directory: what was planned (``study.json``) and the runs that exist so far."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from droptime.errors import RecordError
from droptime.records.fields import Fields
from droptime.records.files import JSON, VERSION, disk, read_json, write_json
from droptime.records.reader import CONFIG, Run, read_run

MANIFEST, RUNS = "study.json", "runs"
_JUDGED = "judged_at"
_ARM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_NOT_SHARED = {"arm", "seed", "dropout", "drop_path"}


@dataclass(frozen=True)
class StudyManifest:
    """What a study sets out to do: every arm with every seed.

    Attributes:
        name: the study's name.
        arms: arm -> its curves as text, e.g. ``{"none": {}, "standard": {"dropout":
            "standard(0.1)"}}``; also the order in which reports list them.
        seeds: the seeds, shared by all arms: runs are paired by seed.
        baseline: the arm the others are compared with.
        base: the config that all runs share.
        command: the command that makes the study, as a shell would take it; "" if unknown.
        judged_at: how many seeds it had, each time it stood finished and seeds were added.

    Raises:
        RecordError: no arm, no seed, a seed given twice, or an arm's name that cannot be a
            folder's.
    """

    name: str
    arms: Mapping[str, Mapping[str, str]]
    seeds: tuple[int, ...]
    baseline: str = "none"
    base: Mapping[str, JSON] = field(default_factory=dict)
    command: str = ""
    judged_at: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.arms or not self.seeds:
            raise RecordError(f"study {self.name!r}: expected at least one arm and one seed.")
        if len(set(self.seeds)) != len(self.seeds):
            raise RecordError(f"study {self.name!r}: a seed is given twice in {self.seeds}.")
        for arm in self.arms:
            if not _ARM_NAME.fullmatch(arm):
                raise RecordError(
                    f"study {self.name!r}: {arm!r} cannot name an arm: use letters, digits and "
                    "'.', '_', '+', '-', beginning with a letter or digit."
                )

    @property
    def plan(self) -> tuple[tuple[str, int], ...]:
        """Every (arm, seed), all arms of a seed before the next seed."""
        return tuple((arm, seed) for seed in self.seeds for arm in self.arms)


@dataclass(frozen=True)
class Study:
    """A study as its directory tells it.

    Attributes:
        path: the study directory.
        manifest: what was planned.
        runs: the runs that have begun, in the manifest's order.
    """

    path: Path
    manifest: StudyManifest
    runs: tuple[Run, ...]

    @property
    def finished(self) -> tuple[Run, ...]:
        """The runs that ended by themselves."""
        return tuple(run for run in self.runs if run.finished)

    @property
    def missing(self) -> tuple[tuple[str, int], ...]:
        """The (arm, seed) whose run has not begun or not finished."""
        done = {(run.arm, run.seed) for run in self.finished}
        return tuple(planned for planned in self.manifest.plan if planned not in done)

    def of_arm(self, arm: str) -> tuple[Run, ...]:
        """The finished runs of an arm, by seed in the manifest's order."""
        return tuple(run for run in self.finished if run.arm == arm)


def run_path(study: str | os.PathLike[str], arm: str, seed: int) -> Path:
    """Where a study keeps a run: ``STUDY/runs/<arm>-s<seed>``.

    >>> run_path("runs/digits", "early", 3).as_posix()
    'runs/digits/runs/early-s3'
    """
    return Path(study) / RUNS / f"{arm}-s{seed}"


def write_manifest(path: str | os.PathLike[str], manifest: StudyManifest) -> None:
    """Write ``study.json`` into the study directory, atomically; the directory is made.

    Raises:
        RecordError: the base config is not JSON, or the disk refuses.
    """
    study = Path(path)
    with disk("create", study):
        study.mkdir(parents=True, exist_ok=True)
    arms: dict[str, JSON] = {arm: dict(curves) for arm, curves in manifest.arms.items()}
    judged: dict[str, JSON] = {_JUDGED: list(manifest.judged_at)} if manifest.judged_at else {}
    write_json(
        study / MANIFEST,
        {
            "v": VERSION,
            "name": manifest.name,
            "arms": arms,
            "seeds": list(manifest.seeds),
            "baseline": manifest.baseline,
            "base": dict(manifest.base),
            "command": manifest.command,
            **judged,
        },
    )


def read_study(path: str | os.PathLike[str]) -> Study:
    """Read a study directory, also one whose runs are under way.

    Raises:
        RecordError: not a study directory, a malformed file, or a run whose config is not the
            one that the manifest plans for its arm and seed.
    """
    study = Path(path)
    if not (study / MANIFEST).is_file():
        raise RecordError(f"{study} is not a study directory: it has no {MANIFEST}.")
    manifest = _manifest(study / MANIFEST)
    places = {
        (arm, seed): run_path(study, arm, seed) for arm in manifest.arms for seed in manifest.seeds
    }
    runs = {key: read_run(place) for key, place in places.items() if (place / CONFIG).is_file()}
    for (arm, seed), run in runs.items():
        _must_match(run, manifest, arm=arm, seed=seed)
    return Study(study, manifest, tuple(runs.values()))


def _manifest(path: Path) -> StudyManifest:
    data = read_json(path)
    judged = data.pop(_JUDGED, [])  # absent from most
    fields = Fields(data)
    try:
        return fields.done(
            StudyManifest(
                name=fields.text("name"),
                arms=_arms(fields.mapping("arms")),
                seeds=_wholes("seeds", fields.take("seeds")),
                baseline=fields.text("baseline"),
                base=fields.mapping("base"),
                command=fields.text("command"),
                judged_at=_wholes(_JUDGED, judged),
            )
        )
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


def _arms(data: dict[str, Any]) -> dict[str, dict[str, str]]:
    for arm, curves in data.items():
        if not isinstance(curves, dict) or not all(isinstance(t, str) for t in curves.values()):
            raise RecordError(f"arm {arm!r} is {curves!r}: expected an object of curve texts.")
    return data


def _wholes(name: str, data: object) -> tuple[int, ...]:
    if not isinstance(data, list) or not all(type(seed) is int for seed in data):
        raise RecordError(f"{name!r} is {data!r}: expected a list of whole numbers.")
    return tuple(data)


def _must_match(run: Run, manifest: StudyManifest, *, arm: str, seed: int) -> None:
    """Refuse a run that was made under other conditions: comparing it would mislead."""
    planned: dict[str, Any] = {k: v for k, v in manifest.base.items() if k not in _NOT_SHARED}
    planned |= {"arm": arm, "seed": seed, **manifest.arms[arm]}
    shared = planned.keys() & (run.config.keys() | {"arm", "seed"})
    differing = sorted(key for key in shared if run.config.get(key) != planned[key])
    if differing:
        listed = "; ".join(
            f"{key}: {run.config.get(key)!r} there, {planned[key]!r} planned" for key in differing
        )
        raise RecordError(
            f"{run.path} was not made for this study ({listed}): "
            "delete the run, or put the study elsewhere."
        )
