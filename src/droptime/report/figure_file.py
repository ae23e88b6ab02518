"""A figure as a report has it: its file, its title, its caption."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FigureFile:
    """A figure as it was written.

    Attributes:
        path: the SVG file.
        title: what it shows.
        caption: what is plotted, n, and what band or bar means.
    """

    path: Path
    title: str
    caption: str

    @property
    def inline(self) -> str:
        """The SVG to put into a page: no XML head, ids that no other figure has."""
        svg = self.path.read_text(encoding="utf-8")
        svg = svg[svg.index("<svg") :]
        return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{self.path.stem}-", svg)


def counts_text(counts: Sequence[float]) -> str:
    """Say how many, once where all are the same.

    >>> counts_text([5, 5]), counts_text([4, 5])
    ('5', '4 to 5')
    """
    low, high = min(counts), max(counts)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
