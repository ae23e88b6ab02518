"""The examination of one specimen: built twice, its rates found, opened, proved, given back."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from droptime import DropScheduler, find_sites, standard, verify
from droptime.sites import Site
from droptime.sites.table import numbered, template
from tests.zoo.census import count, described
from tests.zoo.portrait import Portrait
from tests.zoo.specimen import Specimen

DRIVEABLE = ("open", "closed")


@dataclass(frozen=True)
class Finding:
    """What one examination says of one rate, or of some that differ only in a number.

    Attributes:
        what: ``dead``, ``unknown``, ``unproven``, ``sealed``, ``random`` (at rate 0), ``absent`` (a
            rate that a model built at 0 does not have), ``not opened``, ``not given back``,
            ``failed``.
        where: path and attribute.
        why: the reason, in droptime's words or those of the error.
    """

    what: str
    where: str
    why: str


@dataclass(frozen=True)
class Examined:
    """One model as it was built: with rates up, or at 0.

    Attributes:
        parameters: how many numbers it learns.
        sites: how many of each kind and state: ``{"drop_path": {"open": 11, "closed": 1}}``.
        opened: how many rates a scheduler took hold of, wrote and read back.
        verdicts: how many of each, as ``droptime.verify`` gives them.
        given_back: whether it was the same model afterwards, in every attribute.
        findings: what is not as it should be.
    """

    parameters: int = 0
    sites: dict[str, dict[str, int]] = field(default_factory=dict)
    opened: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    given_back: bool = False
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Examination:
    """What the two builds of one specimen showed."""

    library: str
    family: str
    name: str
    raised: Examined
    zero: Examined
    seconds: float

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of both builds, each once."""
        return tuple(dict.fromkeys((*self.raised.findings, *self.zero.findings)))

    @property
    def verdict(self) -> str:
        """``proved``, ``no rate``, or ``exceptions``: a rate is not all it should be."""
        if any(finding.what != "sealed" for finding in self.findings):
            return "exceptions"
        return "proved" if self.raised.opened else "no rate"

    def as_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Examination:
        """Undo :meth:`as_row`."""
        return cls(**row | {name: _examined(row[name]) for name in ("raised", "zero")})


def _examined(row: dict[str, Any]) -> Examined:
    return Examined(**row | {"findings": tuple(Finding(**each) for each in row["findings"])})


def examine(specimen: Specimen) -> Examination:
    """Build the specimen with rates up and at 0, and prove both."""
    start = time.perf_counter()
    raised, sites = _examine_build(specimen, raised=True)
    zero, _ = _examine_build(specimen, raised=False, expected=sites)
    seconds = round(time.perf_counter() - start, 1)
    return Examination(specimen.library, specimen.family, specimen.name, raised, zero, seconds)


def failed(specimen: Specimen, why: str) -> Examination:
    """The examination of a specimen that could not be examined at all."""
    nothing = Examined(findings=(Finding("failed", "the whole model", why),))
    return Examination(specimen.library, specimen.family, specimen.name, nothing, nothing, 0.0)


def _examine_build(
    specimen: Specimen, *, raised: bool, expected: tuple[Site, ...] = ()
) -> tuple[Examined, tuple[Site, ...]]:
    """Examine one build; an error anywhere is a finding."""
    build = "with rates up" if raised else "at rate 0"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            model = specimen.build(raised)
            _awaken(model)
            return _examine_model(model, specimen.example(model), expected), find_sites(model)
    except Exception as error:
        return Examined(findings=(Finding("failed", build, described(error)),)), ()


def _awaken(model: nn.Module) -> None:
    """Give parameters that start at 0 small values, as a step of training would.

    A branch that is multiplied by zero shows no effect of its dropout.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point() and not parameter.any():
                parameter.normal_(std=0.02)


def _examine_model(model: nn.Module, example: object, expected: tuple[Site, ...]) -> Examined:
    sites = find_sites(model)
    portrait = Portrait.of(model)
    report = verify(model, example)
    opened, not_opened = _open(model, sites)
    changes = portrait.changes(model)
    findings = [
        *([] if report.deterministic else [_RANDOM]),
        *_absent(expected, sites),
        *_grouped(
            (proof.verdict, proof.site, proof.why)
            for proof in report.proofs
            if proof.verdict not in ("acts", "hidden") and proof.site.state != "dead"
        ),
        *_grouped(("not opened", site, why) for site, why in not_opened),
        *(Finding("not given back", change, "differs afterwards") for change in changes),
    ]
    return Examined(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        sites=count(sites),
        opened=opened,
        verdicts=dict(Counter(proof.verdict for proof in report.proofs)),
        given_back=not changes,
        findings=tuple(findings),
    )


_RANDOM = Finding(
    "random", "the whole model", "with every rate found at 0, two runs in training mode differ"
)
"""The sign of a rate that was missed, or of a model that draws numbers of its own."""


def _open(model: nn.Module, sites: tuple[Site, ...]) -> tuple[int, list[tuple[Site, str]]]:
    """Drive every site that can be, each kind at a rate of its own, and read the rates back.

    Returns:
        How many hold the rate they were given, and those that do not.
    """
    driveable = [site for site in sites if site.state in DRIVEABLE]
    if not driveable:
        return 0, []
    sealed = {site.kind for site in sites if site.state == "sealed"}
    kinds = sorted({site.kind for site in driveable})
    rates = {kind: 0.1 + 0.05 * number for number, kind in enumerate(kinds)}
    selectors = {site.name if site.kind in sealed else site.kind: site for site in driveable}
    curves = {selector: standard(rates[site.kind]) for selector, site in selectors.items()}
    drop = DropScheduler(model, rates=curves)
    now = {site.name: site.rate for site in find_sites(model)}
    drop.close()
    wrong = [
        (site, f"wrote {rates[site.kind]}, read {now.get(site.name)}")
        for site in driveable
        if now.get(site.name) != rates[site.kind]
    ]
    if find_sites(model) != sites:
        wrong.append((sites[0], "the sites are others after close()"))
    return len(driveable) - len(wrong), wrong


def _absent(expected: tuple[Site, ...], sites: tuple[Site, ...]) -> list[Finding]:
    """Live rates of the raised model that the model built at 0 does not have."""
    there = Counter((site.path, site.kind) for site in sites)
    missing = []
    for site in expected:
        if site.state not in DRIVEABLE:
            continue
        there[site.path, site.kind] -= 1
        if there[site.path, site.kind] < 0:
            missing.append(("absent", site, "a model built at rate 0 has nothing in its place"))
    return _grouped(missing)


def _grouped(rows: Iterable[tuple[str, Site, str]]) -> list[Finding]:
    """One finding for all sites that differ only in a number."""
    groups: dict[tuple[str, str, str, str], list[Site]] = {}
    for what, site, why in rows:
        groups.setdefault((what, template(site.path), site.attribute, why), []).append(site)
    return [
        Finding(what, ".".join(filter(None, (numbered([s.path for s in sites]), attribute))), why)
        for (what, _, attribute, why), sites in groups.items()
    ]
