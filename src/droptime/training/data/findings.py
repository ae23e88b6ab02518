"""One thing that is wrong with a data set, and the images it is wrong with."""

from __future__ import annotations

from dataclasses import dataclass

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Finding:
    """What is wrong, and where.

    Attributes:
        severity: ``error`` (training stops at it) or ``warning``.
        kind: one or two words for it.
        why: what it is and what it leads to.
        names: the images, classes or files it is about.
    """

    severity: str
    kind: str
    why: str
    names: tuple[str, ...]
