"""What a study trains: every arm with every seed, all else equal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from droptime.errors import ClockError, ConfigError, CurveError
from droptime.records import JSON, StudyManifest, run_path
from droptime.schedules import parse
from droptime.schedules.fitting import check_epochs

KINDS = ("dropout", "drop_path")
_GIVEN_BY_THE_GRID = ("arm", "seed", *KINDS)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Job:
    """One run to train: its whole config and the directory it writes, which also names it."""

    config: Mapping[str, JSON]
    path: Path

    @property
    def name(self) -> str:
        """Its arm and seed, ``early-s3``."""
        return self.path.name

    @property
    def finished(self) -> bool:
        """Whether the run has written its summary, which it does last."""
        return (self.path / "summary.json").exists()


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Arms x seeds over one shared config.

    Args:
        name: what the study is called.
        arms: arm name -> curves as text, ``{"dropout": "early(0.1, until=50%)"}``,
            ``{"drop_path": ...}``, or ``{}`` where nothing drops.
        seeds: the seeds every arm is trained with; equal seeds make pairs.
        base: the config all runs share.
        baseline: the arm the others are compared with; it must drop nothing.

    Raises:
        ConfigError: a name that cannot be a folder, a curve that cannot be read, no seeds or
            one twice, a baseline that is missing or drops, a base that sets what the grid sets,
            a curve that does not fit the base's epochs.

    >>> grid = Grid(name="two", arms={"none": {}, "half": {"dropout": "standard(0.5)"}},
    ...             seeds=(0, 1), base={"epochs": 3})
    >>> [job.name for job in grid.jobs("runs/two")]
    ['none-s0', 'half-s0', 'none-s1', 'half-s1']
    """

    name: str
    arms: Mapping[str, Mapping[str, str]]
    seeds: tuple[int, ...]
    base: Mapping[str, JSON] = field(default_factory=dict)
    baseline: str = "none"

    def __post_init__(self) -> None:
        for name in (self.name, *self.arms):
            _check_name(name)
        for arm, curves in self.arms.items():
            _check_curves(arm, curves)
            _check_lengths(arm, curves, self.base.get("epochs"))
        _check_baseline(self.baseline, self.arms)
        _check_seeds(self.seeds)
        for key in _GIVEN_BY_THE_GRID:
            if key in self.base:
                raise ConfigError(f"The base config sets {key!r}, which arms and seeds decide.")

    def jobs(self, folder: str | Path) -> tuple[Job, ...]:
        """All runs, seed by seed, so that every finished seed gives complete pairs.

        Curves are passed in the spelling ``str(curve)`` has, so equal curves are equal text.
        """
        return tuple(
            Job({**self.base, **curves, "arm": arm, "seed": seed}, run_path(folder, arm, seed))
            for seed in self.seeds
            for arm, curves in self._canonical().items()
        )

    def manifest(self) -> StudyManifest:
        """What the study's folder says of itself (``study.json``)."""
        return StudyManifest(
            name=self.name,
            arms=self._canonical(),
            seeds=self.seeds,
            baseline=self.baseline,
            base=json.loads(json.dumps(self.base)),
        )

    def _canonical(self) -> dict[str, dict[str, str]]:
        return {
            arm: {kind: str(parse(text)) for kind, text in curves.items()}
            for arm, curves in self.arms.items()
        }


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot name a study or an arm: it becomes a folder, so use letters, "
            "digits, '.', '_', '+' and '-', and begin with a letter or digit."
        )


def _check_curves(arm: str, curves: Mapping[str, str]) -> None:
    for kind, text in curves.items():
        if kind not in KINDS:
            raise ConfigError(f"Arm {arm!r} drives {kind!r}: expected one of {', '.join(KINDS)}.")
        try:
            parse(text)
        except CurveError as error:
            raise ConfigError(f"The {kind} of arm {arm!r}: {error}") from error


def _check_lengths(arm: str, curves: Mapping[str, str], epochs: JSON) -> None:
    if not isinstance(epochs, int) or epochs < 1:
        return  # the base leaves it to training, which checks it
    for kind, text in curves.items():
        try:
            check_epochs(text, epochs)
        except ClockError as error:
            raise ConfigError(
                f"The {kind} of arm {arm!r}, {text}, does not fit the run: {error}"
            ) from error


def _check_baseline(baseline: str, arms: Mapping[str, Mapping[str, str]]) -> None:
    if baseline not in arms:
        raise ConfigError(
            f"The baseline {baseline!r} is not among the arms {', '.join(arms) or '(none given)'}: "
            "add it, since the other arms are compared with it."
        )
    if arms[baseline]:
        raise ConfigError(f"The baseline {baseline!r} drives {arms[baseline]}: it must be empty.")


def _check_seeds(seeds: tuple[int, ...]) -> None:
    if not seeds:
        raise ConfigError("A study needs at least one seed, and two or more for an interval.")
    if len(set(seeds)) != len(seeds):
        raise ConfigError(f"Seeds {list(seeds)} hold one twice: each seed is one run of each arm.")
    for seed in seeds:
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise ConfigError(f"Seed {seed!r}: expected a whole number, at least 0.")
