"""Dropout in inference mode, and nothing else: every rate at 0."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from droptime.errors import SiteError
from droptime.layers import TensorRate, held_floats, hold_float
from droptime.sites import locate
from droptime.sites.find import Located
from droptime.sites.grips import PlainFloat


@contextmanager
def dropout_off(model: nn.Module) -> Iterator[None]:
    """Write 0 to every rate of ``model``; afterwards each has its own again.

    Not ``model.eval()``: batch normalisation and all else stay in the mode they train in. Rates
    that a scheduler drives are written as the others, and stay driven. In eager code every rate is
    read at each forward; compiled code must be run in eager meanwhile.

    Raises:
        SiteError: a rate above 0 that droptime can read but not write.

    Cost: one walk over the modules.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))
    >>> with dropout_off(model):
    ...     print(model[1].p)
    0.0
    >>> model[1].p
    0.1
    """
    rates = [_rate(place) for place in dropping(model)]
    try:
        for rate in rates:
            rate.write(0.0)
        yield
    finally:
        for rate in reversed(rates):
            rate.release()


def dropping(model: nn.Module) -> list[Located]:
    """The places where ``model`` drops now.

    Raises:
        SiteError: one of them cannot be written.
    """
    found = [place for place in locate(model) if place.site.rate > 0 and place.site.state != "dead"]
    for place in found:
        if place.site.state != "open":
            raise SiteError(
                f"{place.site.name} drops with rate {place.site.rate}, and droptime cannot set it "
                f"to 0: it is {place.site.state} ({place.site.note}). Set it to 0 yourself, or "
                "measure with paired=False and reference=False."
            )
    return found


def _rate(place: Located) -> PlainFloat:
    module, attribute = place.module, place.site.attribute
    if isinstance(module, TensorRate):
        return PlainFloat(module, "p")
    if attribute in held_floats(module):
        return PlainFloat(hold_float(module, attribute), "p")
    return PlainFloat(module, attribute)
