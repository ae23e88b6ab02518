"""What a site is: one place in a model where a drop rate lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ELEMENT = "element"
ATTENTION = "attention"
DROP_PATH = "drop_path"
HEAD = "head"
DROP_BLOCK = "drop_block"
PATCH = "patch"
LAYER_DROP = "layer_drop"
LORA = "lora"

State: TypeAlias = Literal["open", "closed", "sealed", "dead", "unknown"]


@dataclass(frozen=True)
class Site:
    """One place in a model where a drop rate lives.

    Attributes:
        path: dotted path of the module, as in ``model.get_submodule``; ``""`` is the model itself.
        kind: ``element`` (dropout of activations), ``attention`` (of attention weights),
            ``drop_path`` (stochastic depth), ``head`` (before the classifier), ``drop_block``,
            ``patch``, ``layer_drop`` (whole layers), ``lora`` (inside adapters), or a kind of the
            user's own.
        attribute: name of the attribute that holds the rate.
        rate: drop probability now.
        state: ``open`` (a rate above 0 drops), ``closed`` (a placeholder, built because the rate
            was 0: nothing drops until the scheduler opens it), ``sealed`` (a placeholder that only
            building the model anew can open), ``dead`` (no rate here has an effect) or ``unknown``
            (named like a rate and read, but in a way droptime does not know).
        note: why it is sealed or dead, or what to know about it.
    """

    path: str
    kind: str
    attribute: str
    rate: float
    state: State
    note: str = ""

    @property
    def name(self) -> str:
        """``path.attribute``, which is unique in the model."""
        return f"{self.path}.{self.attribute}" if self.path else self.attribute
