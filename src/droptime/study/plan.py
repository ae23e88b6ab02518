"""One folder holds one study: what may change between two calls, and what may not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from droptime.errors import ConfigError
from droptime.records import JSON, Study, StudyManifest, read_study, write_manifest
from droptime.study.grid import Grid


def settle(folder: str | Path, grid: Grid, *, command: str = "") -> tuple[str, ...]:
    """Make ``folder`` the home of ``grid``, or check that it already is; return what was added.

    New arms and seeds are welcome, since the runs already made stay valid. Anything else that
    differs would mix runs that cannot be compared. Seeds added to a study that had finished are
    told by its report: it could have been judged before. ``command``, as a shell would take it, is
    kept with a plan that is new or grew, for the report to show.

    Raises:
        ConfigError: the folder holds another study; the message lists what differs.
        RecordError: the folder's ``study.json`` or runs cannot be read.
    """
    folder, wanted = Path(folder), replace(grid.manifest(), command=command)
    if not (folder / "study.json").exists():
        write_manifest(folder, wanted)
        return ()
    study = read_study(folder)
    held = study.manifest
    if clashes := tuple(_clashes(held, wanted)):
        listed = "\n".join(f"  - {clash}" for clash in clashes)
        raise ConfigError(
            f"{folder} holds another study:\n{listed}\n"
            "Give the same settings to continue it, or another folder with --out."
        )
    if added := tuple(_additions(held, wanted)):
        write_manifest(folder, replace(wanted, judged_at=_judged_at(study, wanted)))
    return added


def _clashes(held: StudyManifest, wanted: StudyManifest) -> Iterator[str]:
    if held.name != wanted.name:
        yield f"it is called {held.name!r}, not {wanted.name!r}"
    if held.baseline != wanted.baseline:
        yield f"its baseline is {held.baseline!r}, not {wanted.baseline!r}"
    yield from _differences(held.base, wanted.base)
    for arm, curves in held.arms.items():
        if arm not in wanted.arms:
            yield f"it has an arm {arm!r} {_curves(curves)}, which is not asked for"
        elif dict(curves) != dict(wanted.arms[arm]):
            yield f"its arm {arm!r} is {_curves(curves)}, not {_curves(wanted.arms[arm])}"
    if missing := sorted(set(held.seeds) - set(wanted.seeds)):
        yield f"it has seeds {_listed(missing)}, which are not asked for"


def _differences(held: Mapping[str, JSON], wanted: Mapping[str, JSON]) -> Iterator[str]:
    for key in sorted(held.keys() | wanted.keys()):
        there, here = held.get(key, "(not set)"), wanted.get(key, "(not set)")
        if there != here:
            yield f"{key} is {there!r} there and {here!r} here"


def _additions(held: StudyManifest, wanted: StudyManifest) -> Iterator[str]:
    if arms := [arm for arm in wanted.arms if arm not in held.arms]:
        yield f"arms added: {_listed(arms)}"
    if seeds := [seed for seed in wanted.seeds if seed not in held.seeds]:
        yield f"seeds added: {_listed(seeds)}"


def _judged_at(study: Study, wanted: StudyManifest) -> tuple[int, ...]:
    """The counts of seeds it was finished with before more were added, this time included."""
    before = study.manifest
    if study.missing or set(wanted.seeds) == set(before.seeds):
        return before.judged_at
    return (*before.judged_at, len(before.seeds))


def _curves(curves: Mapping[str, str]) -> str:
    return ", ".join(f"{kind}={text}" for kind, text in curves.items()) or "no drop"


def _listed(items: list[str] | list[int]) -> str:
    return ", ".join(map(str, items))
