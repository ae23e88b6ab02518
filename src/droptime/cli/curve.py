"""``droptime curve``: print the values of drop-rate curves around their ends, and draw them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.text import Text

from droptime.cli.rates import rate_table
from droptime.errors import ClockError, ConfigError
from droptime.schedules import parse
from droptime.types import Clock, Curve

_NO_HINT = ""  # the help says itself what is needed
Curves = Annotated[
    tuple[str, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="CURVE ...", help_behavior_hint=_NO_HINT),
]
Whole = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint=_NO_HINT)]
Image = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint=_NO_HINT)]


def curve(
    curves: Curves,
    /,
    *,
    epochs: Whole = None,
    steps_per_epoch: Whole = None,
    total_steps: Whole = None,
    out: Image = None,
) -> None:
    """Print the values of drop-rate curves around their ends, and draw them.

    Example: droptime curve "early(0.5, until=50ep)" "late(0.4, since=50ep)" --epochs 300
    --steps-per-epoch 312 --out curves.svg

    Args:
        curves: such as "early(0.1, until=50ep)", "late(0.4, since=20%)" or "standard(0.1)".
        epochs: length of the run in epochs; give steps_per_epoch too.
        steps_per_epoch: optimizer steps in an epoch.
        total_steps: length of the run in steps, instead of epochs.
        out: draw the curves into this .svg or .png file.
    """
    clock = Clock(epochs=epochs, steps_per_epoch=steps_per_epoch, total_steps=total_steps)
    if clock.total_steps is None:
        raise ClockError(
            "How long is the run? Give --epochs and --steps-per-epoch, or --total-steps."
        )
    if not curves:
        raise ConfigError('Which curves? Give at least one, such as "early(0.1, until=20%)".')
    if out is not None:
        _check_suffix(out)
    parsed = {text: parse(text) for text in curves}
    tables = [(text, rate_table(one, clock)) for text, one in parsed.items()]
    console = Console(highlight=False)
    for text, table in tables:
        console.print(Text(text, style="bold"), soft_wrap=True)
        console.print(table)
    if out is not None:
        _draw(parsed, clock, out)
        console.print(f"drawn: {out}", markup=False, soft_wrap=True)


def _check_suffix(out: Path) -> None:
    from droptime.report.style import figure_kind

    figure_kind(out)


def _draw(parsed: dict[str, Curve], clock: Clock, out: Path) -> None:
    from droptime.report.schedules import draw_schedules, schedule_data

    draw_schedules(schedule_data(parsed, clock), out)
