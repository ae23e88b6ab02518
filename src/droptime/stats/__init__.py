"""Numbers to numbers: means and paired differences with their intervals, and seeds to decide.

Nothing here knows what a run is. SciPy is needed (``pip install 'droptime[report]'``).
"""

from __future__ import annotations

from droptime.stats.estimate import Estimate, mean_interval, paired_difference
from droptime.stats.seeds import MOST_SEEDS, POWER, seeds_to_decide

__all__ = [
    "MOST_SEEDS",
    "POWER",
    "Estimate",
    "mean_interval",
    "paired_difference",
    "seeds_to_decide",
]
