"""Records to verdict: does the model underfit or overfit, and what does the paper then advise?

The criterion of "Dropout Reduces Underfitting" (Liu et al., ICML 2023): a model that
generalises better with standard dropout is in the overfitting regime, one that generalises
better without is in the underfitting regime. Where runs measured their gradients, also: what of
the paper's observations on gradients do they show?
"""

from __future__ import annotations

from droptime.regime.arms import baseline_arm
from droptime.regime.criterion import judge
from droptime.regime.crossing import Crossing, crossing_text, find_crossings
from droptime.regime.observations import Evidence, Judgement, Observation, observe
from droptime.regime.series import Moment, arm_series, directions_halved, paired_series
from droptime.regime.verdict import Regime, Verdict

__all__ = [
    "Crossing",
    "Evidence",
    "Judgement",
    "Moment",
    "Observation",
    "Regime",
    "Verdict",
    "arm_series",
    "baseline_arm",
    "crossing_text",
    "directions_halved",
    "find_crossings",
    "judge",
    "observe",
    "paired_series",
]
