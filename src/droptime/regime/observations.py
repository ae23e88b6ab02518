"""The paper's observations on gradients, judged on a study whose runs measured theirs.

Liu et al. 2023, section 3, on ViT-T/16 with dropout 0.1 against none: dropout's gradients are
smaller, yet its weights travel farther; early in training its mini-batch gradients agree more with
each other (lower GDV) and with the whole data's gradient (lower GDE), later they do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from droptime.records import Study
from droptime.stats import Estimate, paired_difference

EARLY, LATE = 0.1, 0.5
"""Early: the first tenth of the run's steps, its start included. Later: its second half."""

Judgement: TypeAlias = Literal["agrees", "disagrees", "cannot tell"]


@dataclass(frozen=True)
class Observation:
    """One observation of the paper, and what this study says of it.

    Attributes:
        arm: the arm that drops, compared with the study's baseline.
        measure: name of the value in the rows: ``gradient_norm``, ``distance``, ``variance`` (GDV)
            or ``error`` (GDE).
        claim: what the paper says.
        sign: 1 if the paper's difference, arm minus baseline, is above zero, -1 if below.
        estimate: the difference, a mean over the phase's steps, paired by seed; None if fewer than
            two pairs measured it.
    """

    arm: str
    measure: str
    claim: str
    sign: int
    estimate: Estimate | None

    @property
    def judgement(self) -> Judgement:
        """``agrees`` or ``disagrees`` where the interval leaves out zero."""
        if self.estimate is None or self.estimate.sign == 0:
            return "cannot tell"
        return "agrees" if self.estimate.sign == self.sign else "disagrees"

    @property
    def sentence(self) -> str:
        """The claim, the judgement, and the difference with its interval and n."""
        if self.estimate is None:
            return f"{self.claim}: cannot tell, fewer than two pairs of runs measured it."
        e = self.estimate
        return (
            f"{self.claim}: {self.judgement} ({e.mean:+.3g} [{e.low:+.3g}, {e.high:+.3g}], "
            f"n = {e.n})."
        )


def observe(study: Study) -> tuple[Observation, ...]:
    """Judge the paper's observations for each arm that drops, by the study's finished runs.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    arms = [arm for arm in study.manifest.arms if arm != study.manifest.baseline]
    return tuple(each for arm in arms for each in _of_arm(study, arm))


def _of_arm(study: Study, arm: str) -> Iterator[Observation]:
    last = max((row.step for run in study.of_arm(arm) for row in run.dynamics), default=0)
    early, late = (0.0, EARLY * last), (LATE * last, float(last))
    for measure, claim, sign, (first, end) in (
        ("gradient_norm", "With dropout the gradient norm is smaller", -1, (1.0, float(last))),
        ("distance", "With dropout the weights end farther from the start", 1, (last, last)),
        ("variance", "Early, GDV is lower with dropout", -1, early),
        ("variance", "Later, GDV is higher with dropout", 1, late),
        ("error", "Early, GDE is lower with dropout", -1, early),
        ("error", "Later, GDE is higher with dropout", 1, late),
    ):
        sides = [
            _means(paired, first=first, end=end)
            for paired in (by_seed(study, name, measure) for name in (arm, study.manifest.baseline))
        ]
        if any(sides):
            yield Observation(arm, measure, claim, sign, difference(*sides))


def difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate | None:
    """The difference over the seeds that both sides have; None if there are fewer than two."""
    seeds = ours.keys() & theirs.keys()
    if len(seeds) < 2:
        return None
    left, right = ({seed: side[seed] for seed in seeds} for side in (ours, theirs))
    return paired_difference(left, right)


def by_seed(study: Study, arm: str, measure: str) -> dict[int, dict[int, float]]:
    """Seed -> step -> value, of an arm's finished runs."""
    return {
        run.seed: {
            row.step: row.values[measure].value for row in run.dynamics if measure in row.values
        }
        for run in study.of_arm(arm)
    }


def _means(
    values: Mapping[int, Mapping[int, float]], *, first: float, end: float
) -> dict[int, float]:
    """Seed -> mean over the steps from ``first`` to ``end``."""
    chosen: dict[int, Sequence[float]] = {
        seed: [value for step, value in steps.items() if first <= step <= end]
        for seed, steps in values.items()
    }
    return {seed: sum(found) / len(found) for seed, found in chosen.items() if found}
