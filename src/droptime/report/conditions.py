"""Under which conditions a study ran: settings, versions, seeds, and how to repeat it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from droptime.records import Study

_OWN = ("arm", "seed", "dropout", "drop_path")


@dataclass(frozen=True)
class Conditions:
    """What a reader needs to judge or repeat a study.

    Attributes:
        given: the settings that the study names.
        shared: every other setting that all its runs have in common.
        environment: library or device -> version, several joined if runs differ.
        seeds: the seeds, as text.
        run_seconds: training time of all finished runs together.
        command: the command that makes the study; "" if it was not recorded.
    """

    given: Mapping[str, str]
    shared: Mapping[str, str]
    environment: Mapping[str, str]
    seeds: str
    run_seconds: float
    command: str


def conditions(study: Study) -> Conditions:
    """Collect a study's conditions from its manifest and the records of its runs."""
    given = {key: _text(value) for key, value in study.manifest.base.items()}
    return Conditions(
        given=given,
        shared={key: text for key, text in _shared(study).items() if key not in given},
        environment=_environment(study),
        seeds=", ".join(map(str, study.manifest.seeds)),
        run_seconds=sum(run.summary.seconds for run in study.runs if run.summary),
        command=study.manifest.command,
    )


def duration_text(seconds: float) -> str:
    """Say how long in the two largest units.

    >>> duration_text(42.4), duration_text(250), duration_text(7380)
    ('42 s', '4 min 10 s', '2 h 3 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _shared(study: Study) -> dict[str, str]:
    configs = [run.config for run in study.runs]
    if not configs:
        return {}
    first, *rest = configs
    return {
        key: _text(value)
        for key, value in first.items()
        if key not in _OWN and all(key in other and other[key] == value for other in rest)
    }


def _environment(study: Study) -> dict[str, str]:
    seen: dict[str, dict[str, None]] = {}
    for run in study.finished:
        if run.summary:
            for name, value in run.summary.environment.items():
                seen.setdefault(name, {})[value] = None
    return {name: ", ".join(values) for name, values in sorted(seen.items())}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
