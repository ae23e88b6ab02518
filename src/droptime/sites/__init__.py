"""Where the drop rates of a model live, and how to write them."""

from droptime.sites.assignment import assign, plan
from droptime.sites.find import find_sites, locate, place_rates, unwrap
from droptime.sites.plans import Plan
from droptime.sites.site import Site
from droptime.sites.skipping import find_branches, skip_note, skip_what_drops

__all__ = [
    "Plan",
    "Site",
    "assign",
    "find_branches",
    "find_sites",
    "locate",
    "place_rates",
    "plan",
    "skip_note",
    "skip_what_drops",
    "unwrap",
]
