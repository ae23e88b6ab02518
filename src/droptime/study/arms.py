"""The four arms of the paper, for dropout, for stochastic depth or for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from droptime.errors import ConfigError
from droptime.study.grid import KINDS

PAPER_ARMS = ("none", "standard", "early", "late")
PAPER_CUTOFF = "17%"  # 50 of 300 epochs
DROPS: Mapping[str, tuple[str, ...]] = {
    "dropout": ("dropout",),
    "drop_path": ("drop_path",),
    "both": KINDS,
}


def make_arms(
    names: Sequence[str],
    *,
    drop: str = "dropout",
    rates: Mapping[str, float],
    cutoff: str = PAPER_CUTOFF,
) -> dict[str, dict[str, str]]:
    """Return arm name -> curves, for paper arms by name and own arms by ``NAME=CURVE``.

    ``early`` falls linearly from the rate to 0 at the cutoff, ``late`` jumps from 0 to the rate
    there, ``standard`` keeps the rate (Liu et al. 2023, section 4). With ``drop="both"`` each
    arm but ``none`` comes once for dropout and once for stochastic depth, never mixed.

    Args:
        names: among ``none``, ``standard``, ``early``, ``late``, or ``NAME=CURVE``.
        drop: what the arms drive: ``dropout``, ``drop_path`` or ``both``.
        rates: kind -> drop probability in [0, 1).
        cutoff: where early ends and late begins, as a duration (``50ep``, ``100st``, ``20%``).

    Raises:
        ConfigError: an unknown arm or drop, or an arm given twice.

    >>> make_arms(["none", "early"], drop="both", rates={"dropout": 0.1, "drop_path": 0.5},
    ...           cutoff="50%")
    ... # doctest: +NORMALIZE_WHITESPACE
    {'none': {},
     'early-dropout': {'dropout': 'early(0.1, until=50%)'},
     'early-drop-path': {'drop_path': 'early(0.5, until=50%)'}}
    """
    if drop not in DROPS:
        raise ConfigError(f"drop={drop!r}: expected one of {', '.join(DROPS)}.")
    own = [given.partition("=")[0] for given in names]
    for name in own:
        if own.count(name) > 1:
            raise ConfigError(f"The arm {name!r} is given twice: name each arm once.")
    arms: dict[str, dict[str, str]] = {}
    for kind in DROPS[drop]:
        for given in names:
            name, _, curve = given.partition("=")
            text = curve or _paper_curve(name, rate=rates[kind], cutoff=cutoff)
            arm = name if text is None else f"{name}-{kind.replace('_', '-')}"
            arms[arm] = {} if text is None else {kind: text}
    return arms


def _paper_curve(name: str, *, rate: float, cutoff: str) -> str | None:
    curves = {
        "none": None,
        "standard": f"standard({rate})",
        "early": f"early({rate}, until={cutoff})",
        "late": f"late({rate}, since={cutoff})",
    }
    if name not in curves:
        near = get_close_matches(name, PAPER_ARMS)
        hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(PAPER_ARMS)},"
        raise ConfigError(f"There is no arm {name!r}: {hint} or write your own as NAME=CURVE.")
    return curves[name]
