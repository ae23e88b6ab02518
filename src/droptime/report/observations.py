"""The paper's observations on gradients as a table: for the page and for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from droptime.errors import MissingExtraError
from droptime.records import Study
from droptime.regime import Judgement, Observation, baseline_arm, crossing_text, observe
from droptime.report.dynamics import DIRECTIONS, between_data
from droptime.stats import LEVEL

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text as RichText

COLUMNS = ("what the paper observed", "found here", "judged")

NOTE = (
    "The paper: Liu et al. 2023, figures 6 to 8. Each difference is paired by seed: the mean over "
    f"the iterations named, then over seeds, with its {LEVEL:.0%} Student-t interval. Agrees: "
    "every interval lies on the paper's side of zero. Disagrees: one lies on the other side. "
    "Cannot tell: neither. Early is the first tenth of the iterations, later the second half, "
    "whatever the lines look like."
)


@dataclass(frozen=True)
class ObservationLine:
    """One line of the table.

    Attributes:
        claim: what the paper says.
        compared: which arm is compared with which.
        found: (the difference with its interval, when and n) for each phase; or what is missing.
        judgement: ``agrees``, ``disagrees`` or ``cannot tell``.
    """

    claim: str
    compared: str
    found: tuple[tuple[str, str], ...]
    judgement: Judgement


def observation_lines(observations: Sequence[Observation]) -> tuple[ObservationLine, ...]:
    """Return the table's lines, as many as there are observations."""
    return tuple(map(_line, observations))


def _line(each: Observation) -> ObservationLine:
    compared = f"{each.arm} minus {each.baseline}" if each.arm and each.baseline else ""
    found = tuple((part.effect, part.when) for part in each.evidence)
    return ObservationLine(
        each.claim, compared, found or ((f"needs {each.needs}", ""),), each.judgement
    )


def render_observations(study: Study) -> Group:
    """Return the observations' table and crossings, ready for a rich console to print.

    Empty where no finished run measured its gradients.

    Raises:
        MissingExtraError: rich or SciPy is not installed.
    """
    try:
        from rich.console import Group
        from rich.text import Text
    except ImportError as error:
        raise MissingExtraError("rich", "cli", "A table in the terminal") from error
    lines = observation_lines(observe(study))
    if not lines:
        return Group()
    title = Text("\nWhat dropout does to gradients\n", style="bold")
    crossings = [
        Text(
            f"{DIRECTIONS[name]} of {line.arm} minus {baseline_arm(study)}: "
            f"{crossing_text(line.moments)}."
        )
        for name in DIRECTIONS
        for line in between_data(study, name)
    ]
    return Group(title, _table(lines), Text(), *crossings, Text(f"\n{NOTE}", style="dim"))


def _table(lines: Sequence[ObservationLine]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, leading=1
    )
    for title in COLUMNS:
        table.add_column(title, overflow="fold")
    for line in lines:
        claim, found = Text(line.claim), Text("\n").join(map(_part, line.found))
        if line.compared:
            claim.append(f"\n{line.compared}", style="dim")
        style = "" if line.judgement == "cannot tell" else "bold"
        table.add_row(claim, found, Text(line.judgement, style=style))
    return table


def _part(found: tuple[str, str]) -> RichText:
    from rich.text import Text

    effect, when = found
    return Text(effect).append(f"\n{when}" if when else "", style="dim")
