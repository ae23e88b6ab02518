"""The paper's four observations on gradients, judged on a study whose runs measured theirs.

Liu et al. 2023, figures 6 to 8, ViT-T/16 on ImageNet with dropout 0.1 held all along against none:
gradients are smaller, yet the weights travel farther; early in training mini-batch gradients agree
more with each other (lower GDV) and with the gradient of the whole data (lower GDE), later not.
Phases and intervals over paired seeds are this project's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from droptime.records import Study
from droptime.regime.arms import baseline_arm, pair_needs, standard_arms
from droptime.regime.series import Moment, directions_halved, has_dynamics, paired_series
from droptime.stats import Estimate, interval_text, mean_interval, signed, useful_digits

EARLY, LATE = 0.1, 0.5
"""Early: the first tenth of the steps measured, the start included. Later: their second half."""

Judgement: TypeAlias = Literal["agrees", "disagrees", "cannot tell"]

_ALL, _END = "after the start", "at the end"

_CLAIMS: Sequence[tuple[str, str, Mapping[str, int]]] = (
    ("gradient_norm", "Gradient norm is smaller with dropout", {_ALL: -1}),
    ("distance", "Weights end farther from the start with dropout", {_END: 1}),
    ("variance", "GDV is lower with dropout early, not later", {"early": -1, "later": 1}),
    ("error", "GDE is lower with dropout early, higher later", {"early": -1, "later": 1}),
)
"""What is measured, what the paper says of it, and phase -> sign of dropout minus none."""

_RELATIVE = ("gradient_norm", "distance")
_NO_ARM = "an arm that holds one rate all along, such as dropout='standard(0.1)'"
_NOT_MEASURED = "finite values of it in at least 2 pairs of runs, at every step measured in a phase"


@dataclass(frozen=True)
class Evidence:
    """What the runs say in one phase.

    Attributes:
        phase: ``after the start``, ``at the end``, ``early`` or ``later``.
        first: the first step measured in the phase, by all runs.
        last: the last.
        expected: the sign of the difference that the paper observed.
        difference: dropout minus none, paired by seed: a mean over those steps for each seed, each
            step alike. Norm and distance are relative to none (-0.1: 10 % smaller), directions on
            the scale of the records.
        relative: whether it is relative.
    """

    phase: str
    first: int
    last: int
    expected: int
    difference: Estimate
    relative: bool

    @property
    def judgement(self) -> Judgement:
        """``agrees`` or ``disagrees`` where the interval leaves out zero."""
        if self.difference.sign == 0:
            return "cannot tell"
        return "agrees" if self.difference.sign == self.expected else "disagrees"

    @property
    def effect(self) -> str:
        """The difference and its interval."""
        found, scale, unit = self.difference, *((100, " %") if self.relative else (1, ""))
        digits = useful_digits(found, scale=scale)
        mean = signed(found.mean * scale, digits=digits)
        return f"{mean}{unit} {interval_text(found, digits=digits, scale=scale)}"

    @property
    def when(self) -> str:
        """The phase, its steps and n."""
        steps = f"iterations {self.first:,} to {self.last:,}"
        if self.first == self.last:
            steps = f"iteration {self.last:,}"
        return f"{self.phase} ({steps}, n = {self.difference.n})"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One of the paper's observations, and what this study says of it.

    Attributes:
        measure: name of the value in the rows.
        claim: what the paper says.
        arm: the arm that holds one dropout rate; "" if there is none.
        baseline: the arm that drops nothing; "" if there is none.
        evidence: what was found in each phase that the claim speaks of; empty if it cannot be
            judged.
        needs: what is missing then.
    """

    measure: str
    claim: str
    arm: str = ""
    baseline: str = ""
    evidence: tuple[Evidence, ...] = ()
    needs: str = ""

    @property
    def judgement(self) -> Judgement:
        """``disagrees`` if a phase does, ``agrees`` if all phases do, else ``cannot tell``."""
        found = {each.judgement for each in self.evidence}
        if "disagrees" in found:
            return "disagrees"
        return "agrees" if found == {"agrees"} else "cannot tell"

    @property
    def sentence(self) -> str:
        """The claim, the judgement, and the evidence or what is missing."""
        if not self.evidence:
            return f"{self.claim}: cannot tell, needs {self.needs}."
        found = "; ".join(f"{each.effect} {each.when}" for each in self.evidence)
        return f"{self.claim}: {self.judgement}. {self.arm} minus {self.baseline}: {found}."


def observe(study: Study) -> tuple[Observation, ...]:
    """Judge the four observations for every arm that holds one dropout rate all along.

    Arms are known by their curves, as in :func:`droptime.regime.judge`; the paper says nothing of
    other arms here, nor of stochastic depth. All planned runs of both arms must have finished.

    Returns:
        Four an arm, in the paper's order; none where no finished run measured its gradients.

    Raises:
        RecordError: runs have directions on different scales.
        MissingExtraError: SciPy is not installed.
    """
    if not has_dynamics(study):
        return ()
    directions_halved(study)
    baseline, arms = baseline_arm(study), standard_arms(study, "dropout")
    return tuple(
        _observation(study, claim, arm=arm, baseline=baseline)
        for arm in (arms or [""])
        for claim in _CLAIMS
    )


def _observation(
    study: Study,
    claim: tuple[str, str, Mapping[str, int]],
    *,
    arm: str,
    baseline: str | None,
) -> Observation:
    measure, words, signs = claim
    needs = pair_needs(study, arm, baseline) if arm else _NO_ARM
    evidence: tuple[Evidence, ...] = ()
    if not needs and baseline is not None:
        relative = measure in _RELATIVE
        moments = paired_series(study, arm, baseline, name=measure, relative=relative)
        steps = _steps(study, arm, baseline)
        evidence = tuple(_evidence(moments, signs, steps=steps, relative=relative))
        if len(evidence) < len(signs):
            evidence, needs = (), _NOT_MEASURED
    return Observation(
        measure=measure,
        claim=words,
        arm=arm,
        baseline=baseline or "",
        evidence=evidence,
        needs=needs,
    )


def _evidence(
    moments: Sequence[Moment], signs: Mapping[str, int], *, steps: Sequence[int], relative: bool
) -> Iterator[Evidence]:
    """A phase with a step at which a run has no finite value gives none: what is left would lie."""
    for phase, sign in signs.items():
        first, last = _phase(phase, steps[-1] if steps else 0)
        inside = [m for m in moments if first <= m.step <= last]
        if [m.step for m in inside] != [s for s in steps if first <= s <= last]:
            continue
        if not inside or inside[0].n < 2:
            continue
        means = [sum(m.values[seed] for m in inside) / len(inside) for seed in inside[0].values]
        found = mean_interval(means)
        yield Evidence(phase, inside[0].step, inside[-1].step, sign, found, relative)


def _steps(study: Study, *arms: str) -> list[int]:
    """Every step at which a run of these arms measured its gradients."""
    return sorted({row.step for arm in arms for run in study.of_arm(arm) for row in run.dynamics})


def _phase(name: str, end: int) -> tuple[float, float]:
    """The first and the last step of a phase in a run measured until ``end``."""
    return {
        _ALL: (1.0, end),
        _END: (end, end),
        "early": (0.0, EARLY * end),
        "later": (LATE * end, end),
    }[name]
