"""Settings that changed while a run was under way, kept beside its config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from droptime.errors import RecordError
from droptime.records.fields import Fields, whole
from droptime.records.files import JSON


@dataclass(frozen=True)
class Change:
    """Settings that a run went on with in place of others.

    Attributes:
        step: the first 0-based optimizer step made with them.
        before: what they were, by name; None where the run's config did not name one.
        after: what they are from there on.
    """

    step: int
    before: Mapping[str, JSON]
    after: Mapping[str, JSON]


def changes_json(changes: Sequence[Change]) -> list[JSON]:
    """Return changes as JSON, in their order."""
    return [
        {"step": whole("step", each.step), "before": each.before, "after": each.after}
        for each in changes
    ]


def read_changes(value: object) -> tuple[Change, ...]:
    """Read what :func:`changes_json` wrote.

    Raises:
        RecordError: it is something else.
    """
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise RecordError(f"'changes' is {value!r}: expected a list of objects.")
    return tuple(_change(Fields(item)) for item in value)


def go_back(changes: Sequence[Change], step: int) -> tuple[Change, ...]:
    """Return the changes of a run that goes on from ``step``: later ones hold from there."""
    return tuple(Change(min(each.step, step), each.before, each.after) for each in changes)


def change_of(config: Mapping[str, Any], after: Mapping[str, JSON], step: int) -> Change:
    """Return the change that gives a config other settings."""
    return Change(step, {name: config.get(name) for name in after}, after)


def _change(fields: Fields) -> Change:
    return fields.done(
        Change(fields.whole("step"), fields.mapping("before"), fields.mapping("after"))
    )
