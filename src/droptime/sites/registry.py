"""The registry: one rule for each way in which modules keep a drop rate.

A rule looks at a module and, if it knows it, names the attribute that holds a rate, its kind and
its *grip*: the means of writing it (:mod:`droptime.sites.grips`). Classes of ``torch.nn`` are known
by type; other libraries' classes by name and attribute, so that none of them is imported. The rules
droptime ships are in :mod:`droptime.sites.rules`; a rule of the user's goes before them. For each
attribute of a module the first rule that claims it wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from torch import nn

from droptime.sites.grips import Grip
from droptime.sites.site import State


@dataclass(frozen=True)
class Found:
    """What a rule says of one rate.

    Attributes:
        module: the module that holds it: the one the rule was shown, or a direct child.
        child: the child's name, ``""`` for the module itself.
        attribute: name of the attribute that holds the rate.
        kind: see :class:`~droptime.sites.site.Site`.
        rate: drop probability now.
        grip: makes the means of writing it; None where nothing can.
        state: see :class:`~droptime.sites.site.Site`.
        note: why it is closed or dead, or how to open what has no grip.
    """

    module: nn.Module
    attribute: str
    kind: str
    rate: float
    grip: Callable[[], Grip] | None
    child: str = ""
    state: State = "open"
    note: str = ""


Rule: TypeAlias = Callable[[nn.Module, str], Iterator[Found]]
"""``(module, path) -> rates found``, nothing for a module the rule does not know."""

USER_RULES: list[Rule] = []
"""The user's rules, the newest first; they go before those that droptime ships."""

BAKED = "a Python float: torch.compile compiles again for each value"
RESHAPES = "sets the number of tokens, a shape: torch.compile compiles again for new values"
"""What to know of rates that compiled code cannot read from a tensor."""


def rule(function: Rule) -> Rule:
    """Add a rule of one's own (decorator). It goes before every rule there was."""
    USER_RULES.insert(0, function)
    return function
