"""Records to verdict: does the model underfit or overfit, and what does the paper then advise?

The criterion of "Dropout Reduces Underfitting" (Liu et al., ICML 2023): a model that
generalises better with standard dropout is in the overfitting regime, one that generalises
better without is in the underfitting regime.
"""

from __future__ import annotations

from droptime.regime.criterion import judge
from droptime.regime.observations import Observation, observe
from droptime.regime.verdict import Regime, Verdict

__all__ = ["Observation", "Regime", "Verdict", "judge", "observe"]
