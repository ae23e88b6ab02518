"""A verdict: what was compared, what the interval says, and the words for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from droptime.stats import MOST_SEEDS, POWER, Estimate, interval_text, signed

Regime: TypeAlias = Literal["underfitting", "overfitting", "undecided", "unknown"]

FAMILIES = {"dropout": "dropout", "drop_path": "stochastic depth"}
"""What a curve drives -> its name in a sentence."""

_PAPER = "Liu et al. 2023"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The regime of a model as one kind of drop reveals it.

    Attributes:
        family: what drops: ``dropout`` or ``drop_path``.
        regime: ``overfitting`` (standard drop generalises better than none, its interval above
            zero), ``underfitting`` (worse, below zero), ``undecided`` (the interval includes
            zero), or ``unknown`` (the comparison cannot be made yet).
        standard: the arm that holds one rate all along.
        curve: that arm's curve.
        baseline: the arm that drops nothing.
        difference: test accuracy of ``standard`` minus ``baseline``, as fractions, paired by seed.
        seeds_to_decide: when undecided, how many seeds would probably decide; None if that
            number does not exist or is over a thousand.
        needs: when unknown, what is missing.
    """

    family: str
    regime: Regime
    standard: str = ""
    curve: str = ""
    baseline: str = ""
    difference: Estimate | None = None
    seeds_to_decide: int | None = None
    needs: str = ""

    @property
    def sentence(self) -> str:
        """The verdict in plain words, its evidence included."""
        drop = self._drop.capitalize()
        if self.difference is None:
            return f"{drop}: cannot tell yet: needs {self.needs}."
        return f"{drop}: {self.regime}. {self._evidence}{self._plan}"

    @property
    def advice(self) -> str:
        """What the paper advises in this regime; never more than advice."""
        advised = {
            "underfitting": f"early {self._drop} (on at first, off for the rest of the run)",
            "overfitting": f"late {self._drop} (off at first, on for the rest of the run)",
        }
        if self.regime in advised:
            return (
                f"The paper's advice for a model that is {self.regime} ({_PAPER}): try "
                f"{advised[self.regime]}. Whether it helps here is for its own interval to show."
            )
        if self.regime == "undecided":
            return f"No advice on {self._drop} follows from a comparison that is undecided."
        return f"No advice on {self._drop} before the comparison is made."

    @property
    def _drop(self) -> str:
        return FAMILIES.get(self.family, self.family)

    @property
    def _evidence(self) -> str:
        assert self.difference is not None
        found = self.difference
        words = {
            "overfitting": f"is higher than with {self.baseline}:",
            "underfitting": f"is lower than with {self.baseline}:",
        }.get(self.regime, f"minus that with {self.baseline} is")
        return (
            f"Test accuracy with {self.standard} ({self.curve}) {words} "
            f"{signed(found.mean * 100, digits=2)} points, {found.level:.0%} interval "
            f"{interval_text(found, digits=2, scale=100)}, n = {found.n} seeds."
        )

    @property
    def _plan(self) -> str:
        if self.regime != "undecided" or self.difference is None:
            return ""
        if self.difference.sd == 0:
            return " All pairs differ by the same amount: there is no spread to judge by."
        if self.seeds_to_decide is None:
            return (
                f" The interval includes zero. Even {MOST_SEEDS} seeds would probably not decide."
            )
        return (
            " The interval includes zero. "
            f"About {self.seeds_to_decide} seeds would decide with {POWER:.0%} chance, if the "
            f"true difference and spread are those seen: a rough guess, from {self.difference.n}."
        )
