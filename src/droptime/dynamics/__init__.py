"""How dropout changes a run: gradient direction, norm and noise, and distance from the start."""

from droptime.dynamics.directions import GradientDirections
from droptime.dynamics.distance import distance_from, gradient_norm, snapshot
from droptime.dynamics.noise import NoiseScale
from droptime.dynamics.online import OnlineDirections
from droptime.dynamics.paired import error_effect, variance_effect
from droptime.dynamics.probe import GradientProbe
from droptime.dynamics.ranks import over_ranks
from droptime.dynamics.record import Dynamics, Part
from droptime.dynamics.reference import Reference, ReferenceSummary
from droptime.dynamics.switch import dropout_off
from droptime.dynamics.values import Direction, Value
from droptime.dynamics.watch import Watch, logged
from droptime.dynamics.whole import whole_gradient

__all__ = [
    "Direction",
    "Dynamics",
    "GradientDirections",
    "GradientProbe",
    "NoiseScale",
    "OnlineDirections",
    "Part",
    "Reference",
    "ReferenceSummary",
    "Value",
    "Watch",
    "distance_from",
    "dropout_off",
    "error_effect",
    "gradient_norm",
    "logged",
    "over_ranks",
    "snapshot",
    "variance_effect",
    "whole_gradient",
]
