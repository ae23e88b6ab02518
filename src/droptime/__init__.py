"""droptime: dropout at the right time.

The front door. Names load when first used, so that curves, records and reports open without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from droptime.dynamics import GradientDirections as GradientDirections
    from droptime.dynamics import GradientProbe as GradientProbe
    from droptime.environment import from_env as from_env
    from droptime.errors import DroptimeError as DroptimeError
    from droptime.scheduler import DropScheduler as DropScheduler
    from droptime.schedules import curriculum as curriculum
    from droptime.schedules import early as early
    from droptime.schedules import exponential as exponential
    from droptime.schedules import join as join
    from droptime.schedules import late as late
    from droptime.schedules import parse as parse
    from droptime.schedules import piecewise as piecewise
    from droptime.schedules import relative as relative
    from droptime.schedules import standard as standard
    from droptime.sites import Plan as Plan
    from droptime.sites import Site as Site
    from droptime.sites import find_sites as find_sites
    from droptime.sites import plan as plan
    from droptime.sites import verify as verify
    from droptime.types import Clock as Clock
    from droptime.types import Curve as Curve

_HOMES = {
    "droptime.errors": ("DroptimeError",),
    "droptime.types": ("Clock", "Curve"),
    "droptime.schedules": (
        "curriculum",
        "early",
        "exponential",
        "join",
        "late",
        "parse",
        "piecewise",
        "relative",
        "standard",
    ),
    "droptime.dynamics": ("GradientDirections", "GradientProbe"),
    "droptime.sites": ("Plan", "Site", "find_sites", "plan", "verify"),
    "droptime.scheduler": ("DropScheduler",),
    "droptime.environment": ("from_env",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'droptime' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
