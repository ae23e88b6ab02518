"""The paper's criterion: standard drop against none, by test accuracy, paired by seed.

    standard - none > 0: overfitting      < 0: underfitting      interval includes 0: undecided

Source: Liu, Xu, Jin, Shen, Darrell (2023), "Dropout Reduces Underfitting", ICML. The paper
compares single numbers; the interval over paired seeds is this project's addition.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from droptime.records import Study
from droptime.regime.arms import baseline_arm, listed, pair_needs, standard_arms
from droptime.regime.verdict import Regime, Verdict
from droptime.stats import Estimate, paired_difference, seeds_to_decide

_REGIMES: Mapping[int, Regime] = {1: "overfitting", -1: "underfitting", 0: "undecided"}


def judge(study: Study) -> tuple[Verdict, ...]:
    """Judge a study: one verdict for each arm that holds one rate of one kind of drop.

    Arms are known by their curves, never by their names: a standard arm is one whose only
    curve's text begins with ``standard(``, the baseline is the one that has no curve. A kind of
    drop that the study drives without a standard arm gets an ``unknown`` verdict that says so.

    All planned runs of both arms must have finished: looking at a comparison while seeds come
    in and stopping when it pleases would make its interval too narrow.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    baseline = baseline_arm(study)
    return tuple(
        verdict for family in _families(study) for verdict in _judge_family(study, family, baseline)
    )


def _judge_family(study: Study, family: str, baseline: str | None) -> Iterator[Verdict]:
    standards = standard_arms(study, family)
    if not standards:
        yield Verdict(
            family=family,
            regime="unknown",
            baseline=baseline or "",
            needs=f"an arm that holds one rate all along, such as {family}='standard(0.1)'",
        )
    for arm in standards:
        yield _compare(study, family, standard=arm, baseline=baseline)


def _compare(study: Study, family: str, *, standard: str, baseline: str | None) -> Verdict:
    curve = study.manifest.arms[standard][family]
    missing = _needs(study, standard, baseline)
    if missing or baseline is None:
        return Verdict(
            family=family,
            regime="unknown",
            standard=standard,
            curve=curve,
            baseline=baseline or "",
            needs=missing,
        )
    difference = paired_difference(_accuracies(study, standard), _accuracies(study, baseline))
    return Verdict(
        family=family,
        regime=_REGIMES[difference.sign],
        standard=standard,
        curve=curve,
        baseline=baseline,
        difference=difference,
        seeds_to_decide=_plan(difference),
    )


def _plan(difference: Estimate) -> int | None:
    return seeds_to_decide(difference) if difference.sign == 0 else None


def _needs(study: Study, standard: str, baseline: str | None) -> str:
    """What the comparison still lacks, as a phrase; empty if nothing."""
    lacking = pair_needs(study, standard, baseline)
    if lacking or baseline is None:
        return lacking
    measured = {arm: _accuracies(study, arm) for arm in (baseline, standard)}
    diverged = [
        f"{arm}-s{seed}"
        for arm, values in measured.items()
        for seed, value in values.items()
        if not math.isfinite(value)
    ]
    return f"a finite test accuracy from {listed(diverged)}" if diverged else ""


def _families(study: Study) -> tuple[str, ...]:
    """The kinds of drop the study drives, in order of appearance; dropout if it drives none."""
    driven = (kind for curves in study.manifest.arms.values() for kind in curves)
    return tuple(dict.fromkeys(driven)) or ("dropout",)


def _accuracies(study: Study, arm: str) -> dict[int, float]:
    return {
        run.seed: run.summary.final.test_accuracy
        for run in study.of_arm(arm)
        if run.summary is not None
    }
