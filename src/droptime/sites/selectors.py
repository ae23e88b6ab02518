"""What a selector of ``rates`` names: a kind, or a pattern of paths with ranges of numbers.

Grammar::

    selector = kind | paths | paths ":" kind
    paths    = part { "." part }              "/" means the same as "."
    part     = name | numbers | "{" numbers "}"
    numbers  = range { "," range }            at least one "-" or ",", or in braces
    range    = number | number "-" number     both ends belong to it

A name may hold ``*`` (anything, also across dots), ``?`` (one character), ``[ab]`` (one of these)
and numbers in braces. Paths as ``droptime.plan`` prints them, ``blocks.{0-5}.attn``, are selectors.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from droptime.errors import NoSiteError, SiteError
from droptime.sites.site import Site
from droptime.sites.table import numbered, template

MOST = 10_000
"""Numbers that one range may hold."""

_TOKEN = re.compile(
    r"\{(?P<braced>[^}]*)\}"
    r"|(?<![^.])(?P<bare>\d+[-,][\d,-]*)(?![^.])"
    r"|(?P<glob>\*|\?|\[[^\]]+\])"
    r"|.",
    re.DOTALL,
)
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class Selector:
    """A selector, read.

    Attributes:
        text: as it was given.
        paths: what a site's path or name must match.
        kind: what its kind must be, too; ``""``: a site whose kind is ``text`` matches as well.
    """

    text: str
    paths: re.Pattern[str]
    kind: str = ""

    def matches(self, site: Site) -> bool:
        """Whether the selector names this site."""
        if self.kind:
            return site.kind == self.kind and self.reaches(site)
        return site.kind == self.text or self.reaches(site)

    def reaches(self, site: Site) -> bool:
        """Whether the path of the site, or its path and attribute, fit."""
        names = (site.path.replace("/", "."), site.name.replace("/", "."))
        return any(self.paths.fullmatch(name) for name in names)


def read_selector(text: str) -> Selector:
    """Read a selector.

    >>> sites = [Site(f"blocks.{i}.attn.drop", "attention", "p", 0.0, "open") for i in range(12)]
    >>> early = read_selector("blocks/0-5/*:attention")
    >>> [site.path.split(".")[1] for site in sites if early.matches(site)]
    ['0', '1', '2', '3', '4', '5']

    Raises:
        SiteError: it is empty, a range is none or runs backwards, or holds over 10,000 numbers.
    """
    if not isinstance(text, str):
        raise SiteError(f"rates: {text!r} is not a selector: expected a kind or a path as text.")
    paths, colon, kind = text.rpartition(":") if ":" in text else (text, "", "")
    if not paths.strip() or (colon and not kind.strip()):
        raise SiteError(
            f"rates: {text!r} names no site: give a kind ('attention'), paths ('blocks.0-5.*') or "
            "both ('blocks.0-5.*:attention')."
        )
    pattern = _TOKEN.sub(lambda token: _expression(token, text), paths.strip().replace("/", "."))
    try:
        return Selector(text, re.compile(pattern, re.DOTALL), kind.strip())
    except re.error as error:
        raise SiteError(f"rates: {text!r} is no pattern of paths: {error}.") from None


def _expression(token: re.Match[str], selector: str) -> str:
    """One token as a regular expression."""
    numbers = token["bare"] if token["braced"] is None else token["braced"]
    if numbers is not None:
        return rf"(?<!\d)(?:{'|'.join(map(str, _numbers(numbers, selector)))})(?!\d)"
    glob = token["glob"]
    if glob is None:
        return re.escape(token[0])
    simple = {"*": ".*", "?": "."}.get(glob)
    return simple or glob.replace("\\", r"\\").replace("[!", "[^", 1)


def _numbers(text: str, selector: str) -> list[int]:
    found: list[int] = []
    for piece in text.split(","):
        ends = _RANGE.fullmatch(piece.strip())
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (1, 0)
        if last < first:
            raise SiteError(
                f"rates: {selector!r}: {piece!r} is not a range of numbers: write the smaller one "
                "first, as in 'blocks.0-5.*'; both ends belong to it."
            )
        if last - first >= MOST:
            raise SiteError(
                f"rates: {selector!r}: {piece!r} holds more than {MOST:,} numbers: write '*' for "
                "every number."
            )
        found += range(first, last + 1)
    return found


def select(selector: str, sites: Sequence[Site]) -> list[Site]:
    """Return the sites that a selector names and that a rate can reach, sealed ones included.

    Raises:
        NoSiteError: there are none; near names are listed, or why those matched cannot be driven.
        SiteError: the selector cannot be read.
    """
    read = read_selector(selector)
    matched = [site for site in sites if read.matches(site)]
    live = [site for site in matched if site.state not in ("dead", "unknown")]
    if live:
        return live
    if matched:
        raise NoSiteError(_all_dead(selector, matched))
    raise NoSiteError(_unmatched(read, sites))


def inventory(sites: Sequence[Site]) -> str:
    """What dropout a model has, in one sentence."""
    if not sites:
        return "It has no dropout of any kind."
    kinds = sorted({f"{site.kind} ({site.state})" for site in sites})
    return f"It has: {', '.join(kinds)}; droptime.plan(model) shows each."


def _all_dead(selector: str, matched: Sequence[Site]) -> str:
    first, others = matched[0], len(matched) - 1
    more = f" (and {others} more)" if others else ""
    return (
        f"rates: {selector!r} matches only sites that cannot be driven: {first.name}{more} is "
        f"{first.state}: {first.note}."
    )


def _unmatched(selector: Selector, sites: Sequence[Site]) -> str:
    there = sorted({site.kind for site in sites if selector.kind and selector.reaches(site)})
    if there:
        return (
            f"rates: {selector.text!r}: no site at these paths is of kind {selector.kind!r}; "
            f"they are of kind {' and '.join(map(repr, there))}."
        )
    problem = f"rates: {selector.text!r} matches no site's kind or path."
    near = _near(selector.text, sites)
    return f"{problem} " + (
        f"Did you mean {' or '.join(map(repr, near))}?" if near else inventory(sites)
    )


def _near(text: str, sites: Sequence[Site]) -> list[str]:
    """Names close to a selector that matches nothing: kinds, paths, paths with their numbers."""
    paths, colon, kind = text.partition(":")
    below = f"{paths.rstrip('*./')}.*{colon}{kind}"
    if any(map(read_selector(below).matches, sites)):
        return [below]
    groups: dict[str, list[str]] = {}
    for site in sites:
        groups.setdefault(template(site.path), []).append(site.path)
    known = {site.kind: site.kind for site in sites}
    for group in groups.values():
        known |= dict.fromkeys([*group, numbered(group)], numbered(group))
    close = difflib.get_close_matches(text, sorted(known.keys() - {""}), n=12, cutoff=0.5)
    return list(dict.fromkeys(known[name] for name in close))[:3]
