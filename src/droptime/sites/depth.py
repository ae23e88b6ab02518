"""The depth profile of stochastic depth: which share of the rate each block gets."""

from __future__ import annotations

from collections.abc import Sequence

from droptime.sites.site import Site
from droptime.types import Rate


def depth_factors(sites: Sequence[Site]) -> tuple[tuple[float, ...], str]:
    """For each drop-path site its share of the scheduled rate, and how it was found.

    A model built with rates keeps their profile: ``rate / max(rates)``, so that the scheduled rate
    is that of the deepest branch. A model built at rate 0 gets the paper's linear profile,
    ``l / (L - 1)`` for block ``l`` of ``L``, in the order in which the model holds its blocks;
    all branches of one block share a rate.

    Source: Liu et al. 2023 (rate of the last block is the one scheduled); Huang et al. 2016.

    >>> rates = [Site(f"blocks.{i}.drop_path", "drop_path", "p", 0.0, "open") for i in range(3)]
    >>> depth_factors(rates)
    ((0.0, 0.5, 1.0), 'laid: d * l/2 over 3 blocks')
    """
    top, shares = built_shares(sites)
    if top > 0:
        return shares, f"kept: the built profile, d / {top:g}"
    blocks = list(dict.fromkeys(_block(site.path) for site in sites))
    last = len(blocks) - 1
    if last == 0:
        return (1.0,) * len(sites), "laid: d, one block"
    depth = {block: index / last for index, block in enumerate(blocks)}
    laid = tuple(depth[_block(site.path)] for site in sites)
    return laid, f"laid: d * l/{last} over {len(blocks)} blocks"


def built_shares(sites: Sequence[Site]) -> tuple[Rate, tuple[float, ...]]:
    """The highest rate the sites have, and each one's share of it; all 0 if none has a rate.

    >>> built_shares([Site("drop", "element", "p", rate, "open") for rate in (0.0, 0.1, 0.4)])
    (0.4, (0.0, 0.25, 1.0))
    """
    top = max((site.rate for site in sites), default=0.0)
    return top, tuple(site.rate / top if top > 0 else 0.0 for site in sites)


def _block(path: str) -> str:
    """The nearest numbered ancestor (``stages.1.blocks.0``), else the parent."""
    parents = path.split(".")[:-1]
    numbered = [index for index, part in enumerate(parents) if part.isdigit()]
    return ".".join(parents[: numbered[-1] + 1] if numbered else parents)
