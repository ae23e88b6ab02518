"""Studies that are ready to run, each a function that returns one frozen value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from droptime.errors import ConfigError
from droptime.records import JSON
from droptime.study.arms import PAPER_ARMS, make_arms
from droptime.study.grid import Grid


@dataclass(frozen=True, kw_only=True)
class StudyRecipe:
    """A study in the user's words; change it with ``dataclasses.replace``.

    Attributes:
        name: what the study is called.
        base: the training config all runs share.
        arms: paper arms by name, own arms as ``NAME=CURVE``; the first must be the baseline.
        drop: what the arms drive: ``dropout``, ``drop_path`` or ``both``.
        dropout: the rate of dropout's paper arms.
        drop_path: the rate of stochastic depth's paper arms (the last block's).
        cutoff: where early ends and late begins.
        seeds: how many seeds, from 0.
    """

    name: str
    base: Mapping[str, JSON] = field(default_factory=dict)
    arms: tuple[str, ...] = PAPER_ARMS
    drop: str = "dropout"
    dropout: float = 0.1
    drop_path: float = 0.1
    cutoff: str = "50%"
    seeds: int = 3

    def grid(self) -> Grid:
        """Return the runs it stands for.

        Raises:
            ConfigError: an arm, curve or count that makes no sense.
        """
        rates = {"dropout": self.dropout, "drop_path": self.drop_path}
        arms = make_arms(self.arms, drop=self.drop, rates=rates, cutoff=self.cutoff)
        return Grid(name=self.name, arms=arms, seeds=tuple(range(self.seeds)), base=self.base)


def digits() -> StudyRecipe:
    """Real handwritten digits and a small ViT, on two cores in under five minutes."""
    return StudyRecipe(
        name="digits",
        base={"data": "digits", "model": "vit_tiny_patch16_224", "epochs": 20},
        drop="both",
        seeds=5,
    )


PRESETS: Mapping[str, Callable[[], StudyRecipe]] = {"digits": digits}


def preset(name: str) -> StudyRecipe:
    """Return a ready study by name.

    Raises:
        ConfigError: there is none of this name; near ones are named.

    >>> preset("digits").seeds
    5
    """
    if name not in PRESETS:
        near = get_close_matches(name, PRESETS, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(PRESETS)}."
        raise ConfigError(
            f"There is no ready study {name!r}: {hint} "
            "To study your own data, give --data and --model instead."
        )
    return PRESETS[name]()
