"""Where the drop rates of a model live, and how to write them."""

from droptime.sites.assignment import assign, plan
from droptime.sites.find import find_sites, locate, place_rates, unwrap
from droptime.sites.plans import Plan
from droptime.sites.proof import Proof, Report
from droptime.sites.site import Site
from droptime.sites.skipping import find_branches, skip_note, skip_what_drops
from droptime.sites.verify import prove, verify

__all__ = [
    "Plan",
    "Proof",
    "Report",
    "Site",
    "assign",
    "find_branches",
    "find_sites",
    "locate",
    "place_rates",
    "plan",
    "prove",
    "skip_note",
    "skip_what_drops",
    "unwrap",
    "verify",
]
