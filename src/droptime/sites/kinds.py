"""Which kind of dropout a name stands for."""

from __future__ import annotations

import re

from droptime.sites.site import ATTENTION, ELEMENT, HEAD

_HEAD_PARTS = {
    "head",
    "heads",
    "classifier",
    "aux_classifier",
    "classification_head",
    "fc",
    "head_drop",
    "head_dropout",
}
_ATTENTION_NAME = re.compile(r"(attn|attention)(_probs)?_p?drop(out)?(_rate|_prob|_p)?")
_PATH_NAME = re.compile(r"(\w+_)?drop_path\d*|stochastic_(depth|dropout)")
_DROPOUT_NAME = re.compile(r"(\w+_)?dropout\d*|\w+_drop\d*")


def dropout_kind(path: str, name: str | None = None) -> str:
    """``head``, ``attention`` or ``element``, from where a dropout stands and what it is called.

    Args:
        path: dotted path of the module that holds the rate.
        name: the telling name: of the module by default, of the attribute for a float.

    >>> dropout_kind("blocks.0.attn.attn_drop"), dropout_kind("head.drop"), dropout_kind("mlp.0")
    ('attention', 'head', 'element')
    """
    parts = path.split(".")
    name = parts[-1] if name is None else name
    if _HEAD_PARTS.intersection(parts):
        return HEAD
    return ATTENTION if names_attention(name) else ELEMENT


def names_attention(name: str) -> bool:
    """Whether a dropout of this name drops attention weights."""
    return _ATTENTION_NAME.fullmatch(name) is not None


def names_drop_path(name: str) -> bool:
    """Whether a module of this name is a residual branch's stochastic depth."""
    return _PATH_NAME.fullmatch(name) is not None


def names_dropout(name: str) -> bool:
    """Whether a placeholder of this name stands where a dropout would be."""
    return _DROPOUT_NAME.fullmatch(name) is not None
