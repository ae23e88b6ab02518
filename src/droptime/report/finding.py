"""What a study found, in one sentence that its intervals carry and no further."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from droptime.records import StudyManifest
from droptime.report.table import ArmRow, Cell, StudyTable
from droptime.stats import LEVEL

NOT_ADJUSTED = (
    f"Each interval is a {LEVEL:.0%} interval by itself; they are not adjusted for the number of "
    "comparisons, so among many one may miss by chance."
)

SEEDS_ONLY = (
    "Intervals cover the chance of the seeds alone: the split into training and test images is the "
    "same in every run."
)

_NOTHING = "no arm is told apart in"


def finding(table: StudyTable) -> str:
    """Say which differences from the baseline have intervals off zero, and in which direction.

    Arms it does not name are not told apart from the baseline, which does not make them equal.
    An unfinished study, one seed or no baseline: the sentence says that nothing is concluded.
    """
    if table.missing:
        return (
            f"Unfinished: {table.missing} of {table.planned} runs are missing, "
            "so nothing is concluded yet."
        )
    if not table.compared:
        return "No arm is compared with another, so nothing is concluded."
    seeds = max(row.planned for row in table.compared)
    if seeds < 2:
        return "One seed shows no spread, so nothing is concluded: run at least two."
    found = _sentence(table, seeds)
    if lost := [row.arm for row in table.rows if row.diverged]:
        found += f" Where runs of {listed(lost)} are not finite there is no interval."
    return found


def judged_before(manifest: StudyManifest) -> str:
    """Say at how many seeds the study had been finished when more were added; "" if never.

    >>> plan = StudyManifest("x", {"none": {}}, (0, 1, 2), judged_at=(2,))
    >>> judged_before(plan)
    'Judged before at n = 2 seeds: if what was seen then led to more, intervals are too narrow.'
    """
    if not manifest.judged_at:
        return ""
    counts = listed([str(count) for count in manifest.judged_at])
    return (
        f"Judged before at n = {counts} seeds: if what was seen then led to more, intervals are "
        "too narrow."
    )


def _sentence(table: StudyTable, seeds: int) -> str:
    accuracy = _directions(table.compared, lambda row: row.accuracy_difference)
    loss = _directions(table.compared, lambda row: row.loss_difference)
    opening = f"Over {seeds} paired seeds against {table.baseline}"
    if not accuracy and not loss:
        return f"{opening}: {_NOTHING} test accuracy or in final training loss."
    clauses = (
        f"test accuracy {accuracy}" if accuracy else f"{_NOTHING} test accuracy",
        f"final training loss {loss}" if loss else f"{_NOTHING} final training loss",
    )
    return f"{opening}: {clauses[0]}; {clauses[1]}."


def _directions(rows: Iterable[ArmRow], cell: Callable[[ArmRow], Cell | None]) -> str:
    signs = {row.arm: found.sign for row in rows if (found := cell(row)) is not None}
    words = {1: "higher with", -1: "lower with"}
    parts = (
        f"{words[sign]} {listed([arm for arm, found in signs.items() if found == sign])}"
        for sign in words
        if sign in signs.values()
    )
    return ", ".join(parts)


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
