"""Numbers to numbers: means and paired differences with their intervals, and seeds to decide.

Nothing here knows what a run is. SciPy is needed (``pip install 'droptime[report]'``).
"""

from __future__ import annotations

from droptime.stats.estimate import LEVEL, Estimate, mean_interval, paired_difference
from droptime.stats.seeds import MOST_SEEDS, POWER, seeds_to_decide
from droptime.stats.text import interval_text, mean_text, plain, signed, useful_digits

__all__ = [
    "LEVEL",
    "MOST_SEEDS",
    "POWER",
    "Estimate",
    "interval_text",
    "mean_interval",
    "mean_text",
    "paired_difference",
    "plain",
    "seeds_to_decide",
    "signed",
    "useful_digits",
]
