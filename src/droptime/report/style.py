"""How every figure of the house looks, and how it is written: one canvas, one palette, one save.

Text in SVG is drawn as outlines of the font that matplotlib ships, so a figure looks the same
offline, on any machine and on any web page. Output is deterministic: the same data gives the
same bytes.

>>> line_styles(["none", "early"])["early"]
{'color': '#0072b2', 'linestyle': '-'}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from droptime.errors import ConfigError, MissingExtraError
from droptime.records import write_atomic

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

INK = "#1f2430"
"""Colour of titles and of what must be read."""

MUTED = "#6b7280"
"""Colour of axes, ticks and notes."""

GRID = "#e6e8ec"
"""Colour of grid lines and of a line that marks zero."""

FAMILY_COLOURS: Mapping[str, str] = {
    "none": "#6b7280",
    "standard": "#d55e00",
    "early": "#0072b2",
    "late": "#00875f",
}
"""Colour of each family of arms (after Okabe & Ito, 2008: told apart by colour-blind readers)."""

SPARE_COLOURS = ("#aa3f8f", "#a67c00", "#3a9bd1", "#7a4b2a")
"""Colours of arms of no known family, in order of appearance."""

DASHES: tuple[str, ...] = ("-", "--", ":", "-.")
"""Line styles of the first, second, ... arm of one family."""

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.titlepad": 10,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.edgecolor": "#b6bbc4",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": "#b6bbc4",
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "xtick.major.size": 3,
    "xtick.major.width": 0.7,
    "ytick.color": "#b6bbc4",
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": 8.5,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "droptime",
}


class LineStyle(TypedDict):
    """Keyword arguments for ``Axes.plot`` that give an arm its colour and dash."""

    color: str
    linestyle: str


def line_styles(names: Iterable[str]) -> dict[str, LineStyle]:
    """Give each arm its line style: colour by family, dash by place within the family.

    An arm belongs to the first of ``none``, ``standard``, ``early`` and ``late`` that its name
    starts with; any other arm is a family of its own and takes the next spare colour.

    >>> styles = line_styles(["early", "early-drop-path", "cyclic"])
    >>> [tuple(style.values()) for style in styles.values()]
    [('#0072b2', '-'), ('#0072b2', '--'), ('#aa3f8f', '-')]
    """
    spare, seen, styles = cycle(SPARE_COLOURS), dict[str, int](), dict[str, LineStyle]()
    for name in dict.fromkeys(names):
        family = next((known for known in FAMILY_COLOURS if name.startswith(known)), None)
        colour = next(spare) if family is None else FAMILY_COLOURS[family]
        place = seen[colour] = seen.get(colour, -1) + 1
        styles[name] = LineStyle(color=colour, linestyle=DASHES[place % len(DASHES)])
    return styles


def name_arms(figure: Figure) -> None:
    """Name each line once, above the panels, in as many columns as there is room for."""
    lines: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            lines.setdefault(label, handle)
    room = int(17 * figure.get_figwidth())  # letters side by side; a line and its gaps take ten
    figure.legend(
        list(lines.values()),
        list(lines),
        loc="outside upper left",
        ncols=max(1, min(len(lines), 4, room // (10 + max(map(len, lines))))),
        labelcolor="linecolor",
    )


@contextmanager
def canvas(width: float = 7.2, height: float = 3.6) -> Iterator[Figure]:
    """Open an empty figure of the house's style; draw on it inside the ``with`` block.

    No global figure is made (no pyplot) and matplotlib's settings are given back at the end.

    Args:
        width: inches.
        height: inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with _house_settings():
        from matplotlib.figure import Figure

        yield Figure(figsize=(width, height), layout="constrained")


_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}
"""What a figure can be written as, and the metadata left out for the same bytes every time."""


def render(figure: Figure, kind: str) -> bytes:
    """Return the figure's file: ``kind`` is ``"svg"`` or ``"png"``.

    Raises:
        ConfigError: another kind is asked for.
    """
    if kind not in _METADATA:
        raise ConfigError(f"A figure cannot be written as {kind!r}: choose 'svg' or 'png'.")
    buffer = BytesIO()
    with _house_settings():
        figure.savefig(buffer, format=kind, metadata=_METADATA[kind])
    return buffer.getvalue()


def save(figure: Figure, path: str | Path) -> Path:
    """Write the figure as svg or png, by the path's suffix; return the path.

    Raises:
        ConfigError: the suffix is neither ``.svg`` nor ``.png``.
    """
    path = Path(path)
    write_atomic(path, render(figure, figure_kind(path)))
    return path


def figure_kind(path: str | Path) -> str:
    """Return what a figure at this path is written as, by its suffix.

    >>> figure_kind("curves.SVG")
    'svg'

    Raises:
        ConfigError: the suffix is neither ``.svg`` nor ``.png``.
    """
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in _METADATA:
        given = f"its name ends in {kind!r}" if kind else "its name has no ending"
        raise ConfigError(f"No figure can be written to {path}, {given}: choose 'svg' or 'png'.")
    return kind


@contextmanager
def _house_settings() -> Iterator[None]:
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtraError("matplotlib", "report", "Drawing a figure") from error
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield
