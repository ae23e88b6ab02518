"""What running a model proved of its sites, as values and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from droptime.sites.site import Site
from droptime.sites.table import aligned, numbered, template

Verdict: TypeAlias = Literal["acts", "hidden", "dead", "fails", "sealed", "unproven"]

_HEADER = ("path", "kind", "attribute", "sites", "verdict", "output", "gradients", "why")


@dataclass(frozen=True)
class Proof:
    """What a raised rate at one site did.

    Attributes:
        site: the site.
        verdict: ``acts`` (a raised rate changes the model's output or gradients), ``hidden`` (it
            drops and its result is used, but something multiplies it by zero, as a zero-initialised
            layer does), ``dead`` (it does nothing), ``fails`` (raised, it makes the model raise),
            ``sealed`` (a placeholder that cannot be opened) or ``unproven`` (the model is random by
            itself, or droptime cannot set it).
        output: relative change of the output, 0 for none at all.
        gradient: relative change of the parameters' gradients.
        why: the reason, where the verdict is not ``acts``.
    """

    site: Site
    verdict: Verdict
    output: float = 0.0
    gradient: float = 0.0
    why: str = ""


@dataclass(frozen=True)
class Report:
    """What :func:`~droptime.sites.verify.verify` found; ``print`` it for the table.

    Attributes:
        proofs: one for each site, in the model's order.
        deterministic: whether two runs in training mode were equal with every rate at 0. If not,
            the model is random by itself, and sites are proved on their own module only.
    """

    proofs: tuple[Proof, ...]
    deterministic: bool

    @property
    def dead(self) -> tuple[Site, ...]:
        """The sites that do nothing."""
        return tuple(proof.site for proof in self.proofs if proof.verdict == "dead")

    def only(self, verdict: Verdict) -> Report:
        """The part of the report with one verdict."""
        return replace(self, proofs=tuple(p for p in self.proofs if p.verdict == verdict))

    def __str__(self) -> str:
        """One line for all sites that differ only in a number."""
        if not self.proofs:
            return "No dropout of any kind in this model."
        groups: dict[tuple[object, ...], list[Proof]] = {}
        for proof in self.proofs:
            site = proof.site
            key = (template(site.path), site.kind, site.attribute, proof.verdict, proof.why)
            groups.setdefault(key, []).append(proof)
        lines = aligned([_HEADER, *(_line(group) for group in groups.values())], right=(3,))
        if not self.deterministic:
            lines.append("The model is random by itself: it differs from run to run at rate 0.")
        return "\n".join(lines)


def _line(proofs: Sequence[Proof]) -> tuple[str, ...]:
    first = proofs[0]
    return (
        numbered([proof.site.path for proof in proofs]) or "(model)",
        first.site.kind,
        first.site.attribute,
        str(len(proofs)),
        first.verdict,
        _changed([proof.output for proof in proofs]),
        _changed([proof.gradient for proof in proofs]),
        first.why,
    )


def _changed(changes: Sequence[float]) -> str:
    """``changed`` if all did, else how many."""
    count = sum(change > 0 for change in changes)
    if count in (0, len(changes)):
        return "changed" if count else "same"
    return f"changed {count}/{len(changes)}"
