"""Which arms are compared: the one that drops nothing, and those that hold one rate all along.

Arms are known by their curves, never by their names.
"""

from __future__ import annotations

from collections.abc import Sequence

from droptime.records import Study

_STANDARD = "standard("


def baseline_arm(study: Study) -> str | None:
    """The arm that drops nothing: the manifest's baseline if it does, else the first that does."""
    arms = study.manifest.arms
    candidates = [study.manifest.baseline, *arms]
    return next((arm for arm in candidates if arm in arms and not arms[arm]), None)


def standard_arms(study: Study, family: str) -> list[str]:
    """The arms whose only curve holds one rate of ``family`` for the whole run."""
    return [
        arm
        for arm, curves in study.manifest.arms.items()
        if set(curves) == {family} and curves[family].startswith(_STANDARD)
    ]


def pair_needs(study: Study, arm: str, baseline: str | None) -> str:
    """What a comparison of two arms over seeds still lacks, as a phrase; empty if nothing."""
    if baseline is None:
        return "an arm that drops nothing to compare with"
    if len(study.manifest.seeds) < 2:
        return "at least 2 seeds: one pair of runs has no spread to judge by"
    unfinished = [f"{a}-s{s}" for a, s in study.missing if a in (arm, baseline)]
    return f"{len(unfinished)} unfinished run(s): {listed(unfinished)}" if unfinished else ""


def listed(names: Sequence[str], *, most: int = 6) -> str:
    """Join names, and count those beyond ``most``.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
