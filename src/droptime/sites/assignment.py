"""Which site is driven by what, and why: decided here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from torch import nn

from droptime.errors import ClosedSiteError, NoSiteError, SiteError
from droptime.schedules import CurveLike, as_curve, is_relative
from droptime.sites.depth import built_shares, depth_factors
from droptime.sites.find import find_sites
from droptime.sites.plans import Plan, Row
from droptime.sites.selectors import inventory, select
from droptime.sites.site import ATTENTION, DROP_PATH, ELEMENT, HEAD, Site
from droptime.types import Rate

PAPER_KINDS = {"dropout": (ELEMENT, ATTENTION), "drop_path": (DROP_PATH,)}
"""What the arguments ``dropout=`` and ``drop_path=`` drive."""


def plan(
    model: nn.Module,
    *,
    dropout: CurveLike | bool | None = True,
    drop_path: CurveLike | bool | None = True,
    rates: Mapping[str, CurveLike] | Iterable[str] = (),
) -> Plan:
    """Show every site of a model and what would drive it. Changes nothing.

    Args:
        model: any module, wrapped or not.
        dropout: the curve a scheduler would be given in ``dropout=``; True is any curve.
        drop_path: the same for ``drop_path=``.
        rates: what it would be given in ``rates=``, or the selectors alone.

    Raises:
        NoSiteError: a selector of ``rates`` matches nothing, or a relative curve would drive sites
            that are all at rate 0.
        CurveError: a curve makes no sense.

    >>> from torch import nn
    >>> block = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1))
    >>> print(plan(nn.Sequential(block, nn.Linear(4, 2))))
    path  kind     attribute  rate  sites  state  driven by  why
    0.1   element  p           0.1      1  open   dropout
    """
    named = {"dropout": dropout, "drop_path": drop_path}
    given = {name: c for name, c in named.items() if c is not None and c is not False}
    selectors = rates if isinstance(rates, Mapping) else dict.fromkeys(rates, True)
    curves = {
        name: as_curve(name, curve)
        for name, curve in {**given, **selectors}.items()
        if not isinstance(curve, bool)
    }
    relative = [name for name, curve in curves.items() if is_relative(curve)]
    return assign(
        find_sites(model), list(given), list(selectors), relative=relative, missing_ok=True
    )


def assign(
    sites: Sequence[Site],
    wanted: Sequence[str],
    selectors: Sequence[str] = (),
    *,
    relative: Collection[str] = (),
    missing_ok: bool = False,
) -> Plan:
    """Give each site its driver: a selector of ``rates`` before ``dropout`` and ``drop_path``.

    A site of a driver in ``relative`` gets its share of the highest rate among that driver's sites.

    Raises:
        NoSiteError: a driver matches no site (``dropout`` and ``drop_path`` may, if
            ``missing_ok``), or a relative one only sites at rate 0.
        ClosedSiteError: a site that must drop is a placeholder that cannot be opened.
        SiteError: two selectors match one site.
    """
    live = [site for site in sites if site.state not in ("dead", "unknown")]
    drivers: dict[str, str] = {}
    for name in wanted:
        drivers |= {site.name: name for site in live if site.kind in PAPER_KINDS[name]}
    drivers |= _select(sites, selectors)

    strongest: dict[str, Rate] = {}
    factors: dict[str, float] = {}
    for name in relative:
        followers = [site for site in live if drivers.get(site.name) == name]
        strongest[name], shares = _built_shares(name, followers)
        factors |= dict(zip((site.name for site in followers), shares, strict=True))
    ramps = "drop_path" in wanted  # a selector of that name gives every site the same rate
    ramped = [site for site in live if ramps and drivers.get(site.name) == "drop_path"]
    shares, profile = depth_factors(ramped)
    factors |= dict(zip((site.name for site in ramped), shares, strict=True))
    rows = tuple(_row(site, drivers.get(site.name), factors.get(site.name, 1.0)) for site in sites)
    kept = tuple((name, top) for name, top in strongest.items() if top)
    result = Plan(rows, profile if ramped else "", kept)
    if not missing_ok:
        for name in wanted:
            if not any(row.factor for row in result.driven(name)):
                raise NoSiteError(_nothing_for(name, sites))
        _check_closed(result)
    return result


def _select(sites: Sequence[Site], selectors: Sequence[str]) -> dict[str, str]:
    """The selector that drives each site named by one."""
    owner: dict[str, str] = {}
    for selector in selectors:
        for site in select(selector, sites):
            other = owner.setdefault(site.name, selector)
            if other != selector:
                raise SiteError(
                    f"rates: {site.name} is matched by {other!r} and by {selector!r}. "
                    "Give each site one curve: narrow one of the two."
                )
    return owner


def _built_shares(driver: str, sites: Sequence[Site]) -> tuple[Rate, tuple[float, ...]]:
    top, shares = built_shares(sites)
    if sites and top == 0:
        raise NoSiteError(
            f"{driver}: the curve is relative to the rates the model was built with, and its "
            f"{len(sites)} sites were built at 0. Build the model with the rates whose profile is "
            "to be kept, or leave relative(...) out."
        )
    return top, shares


def _row(site: Site, driver: str | None, factor: float) -> Row:
    if site.state in ("dead", "unknown"):
        return Row(site, None, 0.0, site.note)
    if driver is None:
        return Row(site, None, 0.0, _left_alone(site))
    if factor == 0:
        at_depth = driver == "drop_path" and site.kind == DROP_PATH
        where = "at this depth" if at_depth else "as built"
        return Row(site, driver, 0.0, f"rate 0 {where}, always")
    return Row(site, driver, factor, "to be opened" if site.state == "closed" else site.note)


def _left_alone(site: Site) -> str:
    if site.state == "sealed":
        return site.note
    what = "the classifier head; " if site.kind == HEAD else ""
    return f"{what}for rates={{{site.kind!r}: ...}}"


def _check_closed(plan: Plan) -> None:
    for row in plan.rows:
        if row.driver and row.factor and row.site.state == "sealed":
            raise ClosedSiteError(
                f"{row.site.name} is to be driven by {row.driver!r}, but it is {row.why}."
            )


def _nothing_for(name: str, sites: Sequence[Site]) -> str:
    live = [s for s in sites if s.kind in PAPER_KINDS[name] and s.state in ("open", "closed")]
    if live:
        return (
            f"{name}= is left nothing to drive: rates= takes every one of its sites. Leave it out."
        )
    cure = {
        "dropout": "Build the model with its dropout modules (nn.Dropout(0.0) is enough)",
        "drop_path": "Build the model with drop_path_rate (timm) or stochastic_depth_prob "
        "(torchvision) above 0, or call a module named drop_path on each residual branch",
    }[name]
    kinds = " or ".join(PAPER_KINDS[name])
    return f"{name}= found no {kinds} site in this model. {inventory(sites)} {cure}."
