"""DropScheduler: curves driving the sites of a model, as familiar as an lr scheduler."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from weakref import WeakKeyDictionary

from torch import nn

from droptime.errors import ClockError, ConfigError, SiteError, StateError
from droptime.schedules import CurveLike as CurveLike
from droptime.schedules import as_curve, is_relative
from droptime.sites import (
    assign,
    find_branches,
    locate,
    place_rates,
    prove,
    skip_note,
    skip_what_drops,
    unwrap,
)
from droptime.sites.branches import Branch
from droptime.sites.find import Located
from droptime.sites.grips import Grip, Stepped
from droptime.sites.plans import Row
from droptime.types import Clock, Rate, Schedule, Step

_driven: WeakKeyDictionary[nn.Module, set[str]] = WeakKeyDictionary()
"""Attributes that a scheduler drives now, so that two never fight over one."""


@dataclass
class _Voice:
    """One curve and the sites that follow it."""

    schedule: Schedule
    grips: list[tuple[Grip, float]] = field(default_factory=list)
    rate: Rate = -1.0

    def say(self, rate: Rate) -> None:
        """Write a rate to the sites, each its share; nothing to do if it has not changed."""
        if rate != self.rate:
            for grip, factor in self.grips:
                grip.write(rate * factor)
            self.rate = rate


class DropScheduler:
    """Drive a model's dropout along curves, one step at a time.

    The first rate is in force as soon as the scheduler exists. Call :meth:`step` after every
    ``optimizer.step()``; between optimizer steps (gradient accumulation) leave it alone.

    Args:
        model: the model; compiled or DDP-wrapped works the same. It is changed in place:
            placeholders built at rate 0 are opened, rates move into tensors. ``state_dict`` keys,
            parameters and hooks stay; :meth:`close` undoes the rest.
        dropout: curve for element and attention dropout, not the classifier head.
        drop_path: curve for stochastic depth: the rate of the deepest branch. The profile over
            depth is kept if the model was built with one, else it is the paper's linear one.
        rates: curves by selector: a kind (``"attention"``, ``"head"``), a pattern of paths
            (``"blocks.0-5.*"``) or both (``"blocks.0-5.*:attention"``); see ``docs/sites.md``.
            Every matched site gets the curve's rate. A selector goes before ``dropout`` and
            ``drop_path``.
        clock: how long an epoch and the run are. Needed by ``"50ep"`` and ``"17%"``.
        skip: do not compute the residual branches that stochastic depth drops: each runs only on
            the samples that keep it. Masks, outputs and gradients follow the same law as without.
            ``"fixed"``: keep exactly ``round(batch * (1 - rate))`` samples of each branch, at
            least 1, so that shapes stay the same; see ``docs/skip.md``.
        strict: prove by running the model that every driven site acts; see
            :func:`droptime.verify`, which also says what it costs.
        example: one batch, for ``strict``: a tensor, a tuple of arguments or a dict of keywords.

    A curve is a :class:`~droptime.types.Curve`, its text or a function from step to rate. One made
    by :func:`droptime.relative` keeps for each site its share of the rates the model has when the
    scheduler is made.

    Raises:
        NoSiteError: a curve would drive nothing, or is relative to sites that are all at 0.
        ClosedSiteError: a site that must drop is a placeholder that cannot be opened.
        SiteError: no curve was given, a site is already driven by another scheduler, ``skip``
            finds no branch that can be skipped, or (strict) a driven site does nothing.
        CurveError, ClockError: a curve makes no sense, or the clock cannot resolve it.

    Cost: one walk over the modules at construction. A step writes one scalar to each site whose
    rate changes, and nothing when no rate changes.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.0), nn.Linear(4, 2))
    >>> drop = DropScheduler(model, dropout="early(0.3, until=4st)", clock=Clock(total_steps=8))
    >>> for _ in range(5):
    ...     print(round(drop.get_last_rates()["dropout"], 2), round(model[1].p, 2))
    ...     drop.step()
    0.3 0.3
    0.2 0.2
    0.1 0.1
    0.0 0.0
    0.0 0.0
    >>> drop.close()
    >>> model[1]
    Dropout(p=0.0, inplace=False)
    """

    skip: bool | Literal["fixed"] = False

    def __init__(
        self,
        model: nn.Module,
        *,
        dropout: CurveLike | None = None,
        drop_path: CurveLike | None = None,
        rates: Mapping[str, CurveLike] | None = None,
        clock: Clock | None = None,
        skip: bool | Literal["fixed"] = False,
        strict: bool = False,
        example: object = None,
    ) -> None:
        named = {"dropout": dropout, "drop_path": drop_path}
        given = {name: curve for name, curve in named.items() if curve is not None}
        _check_arguments(given, rates, clock, skip)
        selectors = dict(rates or {})
        self.clock = clock or Clock()
        self.last_step: Step = 0
        self.curves = {name: as_curve(name, curve) for name, curve in (given | selectors).items()}
        self._voices = {name: _Voice(c.resolve(self.clock)) for name, c in self.curves.items()}
        first = {name: voice.schedule(0) for name, voice in self._voices.items()}

        located = locate(model)
        sites = [place.site for place in located]
        relative = [name for name, curve in self.curves.items() if is_relative(curve)]
        self.plan = assign(sites, list(given), list(selectors), relative=relative)
        if strict:
            self._prove(model, located, example)
        self.skip = skip
        self._branches = self._find_branches(model) if skip else {}
        self._holding: list[tuple[nn.Module, str]] = []
        self._stepped: list[Stepped] = []
        try:
            self._take(located, unwrap(model))
            place_rates(model)
            for name, voice in self._voices.items():
                voice.say(first[name])
            self._begin(0)
        except BaseException:
            self.close()
            raise

    def step(self) -> None:
        """Move to the next optimizer step and put its rates in force.

        Raises:
            ClockError: the step lies past the end of the clock.
            StateError: the scheduler is closed.
        """
        self._go(self.last_step + 1)

    def get_last_rates(self) -> dict[str, Rate]:
        """The rates in force now, by the name of their curve: ``{"dropout": 0.1}``.

        For ``drop_path`` it is the rate of the deepest branch, for a relative curve that of the
        site built with the highest rate.
        """
        return {name: voice.rate for name, voice in self._voices.items()}

    def state_dict(self) -> dict[str, Any]:
        """The step and a fingerprint of curves, clock and sites: plain JSON values."""
        return {"step": self.last_step, "fingerprint": self._fingerprint()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to the step of a saved state and put its rates in force.

        Raises:
            StateError: the state was saved with other curves, another clock or other sites; the
                message lists what differs. Nothing is changed.
        """
        try:
            saved, step = dict(state["fingerprint"]), state["step"]
        except (KeyError, TypeError, ValueError):
            saved, step = {}, None
        if type(step) is not int or step < 0:
            raise StateError(
                "Not a DropScheduler state: expected 'step', a whole number from 0 on, and "
                f"'fingerprint', got {state!r}."
            )
        own = self._fingerprint()
        differing = [
            f"  {key}: saved {saved.get(key, 'nothing')}, here {own.get(key, 'nothing')}"
            for key in sorted(saved.keys() | own.keys())
            if saved.get(key) != own.get(key)
        ]
        if differing:
            raise StateError(
                "This state belongs to another schedule:\n" + "\n".join(differing) + "\n"
                "Build the scheduler as it was when the state was saved."
            )
        self._go(step)

    def close(self) -> None:
        """Give the model back as it was: classes, placeholders and rates. Safe to call twice."""
        for voice in self._voices.values():
            for grip, _ in reversed(voice.grips):
                grip.release()
            voice.grips.clear()
        self._stepped.clear()
        for module, attribute in self._holding:
            _driven[module].discard(attribute)
        self._holding.clear()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return not self._holding

    def _find_branches(self, model: nn.Module) -> dict[str, Branch]:
        """The branch that ends in each drop path; the plan then says which are skipped."""
        driven = [row for row in self.plan.rows if row.driver and row.factor]
        paths = [row.site.path for row in driven if row.site.kind == "drop_path"]
        branches = find_branches(unwrap(model), paths)
        rows = (
            replace(row, why=skip_note(branches[row.site.path]))
            if row.factor and row.site.path in branches
            else row
            for row in self.plan.rows
        )
        self.plan = replace(self.plan, rows=tuple(rows))
        return branches

    def _prove(self, model: nn.Module, located: list[Located], example: object) -> None:
        """Refuse driven sites that do nothing."""
        if example is None:
            raise SiteError("strict=True runs the model: give one batch, example=...")
        places = [place for place, _ in self._driven_places(located)]
        report = prove(model, example, places)
        if report.dead:
            table = report.only("dead")
            raise SiteError(
                f"{len(report.dead)} of {len(places)} driven sites do nothing:\n{table}\n"
                "Leave them out with rates= by path, mend the model, or give strict=False."
            )

    def _driven_places(self, located: list[Located]) -> list[tuple[Located, Row]]:
        names = {row.site.name: row for row in self.plan.rows if row.driver and row.factor}
        return [(place, names[place.site.name]) for place in located if place.site.name in names]

    def _take(self, located: list[Located], model: nn.Module) -> None:
        """Take hold of every driven site, or of none."""
        wanted = self._driven_places(located)
        for place, _ in wanted:
            if place.site.attribute in _driven.get(place.module, ()):
                raise SiteError(
                    f"{place.site.name} is already driven by another DropScheduler: close() that "
                    "one first, or give both curves to one scheduler."
                )
        for place, row in wanted:
            assert place.take is not None
            assert row.driver is not None
            grip = place.take()
            if branch := self._branches.get(place.site.path):
                fixed = self.skip == "fixed"
                grip = skip_what_drops(
                    model, grip, path=place.site.path, branch=branch, fixed=fixed
                )
            self._voices[row.driver].grips.append((grip, row.factor))
            if isinstance(grip, Stepped):
                self._stepped.append(grip)
            _driven.setdefault(place.module, set()).add(place.site.attribute)
            self._holding.append((place.module, place.site.attribute))

    def _go(self, step: Step) -> None:
        if self.closed:
            raise StateError("This DropScheduler is closed: build a new one.")
        total = self.clock.total_steps
        if total is not None and step > total:
            raise ClockError(
                f"Step {step} is past the end of {self.clock}, {total} steps. Call step() once "
                "after each optimizer.step(), and give the clock the length of the whole run."
            )
        rates = [voice.schedule(step) for voice in self._voices.values()]
        for voice, rate in zip(self._voices.values(), rates, strict=True):
            voice.say(rate)
        self._begin(step)
        self.last_step = step

    def _begin(self, step: Step) -> None:
        """Tell the step to the grips whose draws depend on it."""
        for grip in self._stepped:
            grip.at(step)

    def _fingerprint(self) -> dict[str, str]:
        sites = [
            f"{row.site.name} {row.driver} {row.factor!r}"
            for row in self.plan.rows
            if row.driver and row.factor
        ]
        digest = hashlib.sha256("\n".join(sites).encode()).hexdigest()[:16]
        curves = {name: str(curve) for name, curve in self.curves.items()}
        fixed = {"skip": "fixed"} if self.skip == "fixed" else {}
        return curves | fixed | {"clock": str(self.clock), "sites": f"{len(sites)} sites, {digest}"}


def _check_arguments(
    given: Mapping[str, object], rates: object, clock: object, skip: object
) -> None:
    if rates is not None and not isinstance(rates, Mapping):
        raise SiteError(f"rates={rates!r}: expected a mapping, as in {{'attention': curve}}.")
    if not given and not rates:
        raise SiteError("DropScheduler was given no curve: give dropout=, drop_path= or rates=.")
    if both := given.keys() & (rates or {}):
        raise SiteError(
            f"{min(both)} is driven by {min(both)}= and by rates={{{min(both)!r}: ...}}: give one."
        )
    if clock is not None and not isinstance(clock, Clock):
        raise ClockError(f"clock={clock!r}: expected a droptime.Clock.")
    if skip not in (True, False, "fixed"):
        raise ConfigError(f"skip={skip!r}: expected True, False or 'fixed'.")
