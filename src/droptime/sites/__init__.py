"""Where the drop rates of a model live, and how to write them."""

from droptime.sites.assignment import assign, plan
from droptime.sites.find import find_sites, locate, place_rates, unwrap
from droptime.sites.plans import Plan
from droptime.sites.site import Site

__all__ = ["Plan", "Site", "assign", "find_sites", "locate", "place_rates", "plan", "unwrap"]
