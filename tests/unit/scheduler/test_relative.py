"""Relative curves: a model's own profile is kept while it is switched, ramped and annealed."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import droptime as dt
from droptime.errors import CurveSyntaxError, NoSiteError, StateError

CLOCK = dt.Clock(total_steps=10)
BUILT = (0.1, 0.0, 0.4, 0.2)


def _model(*rates: float) -> nn.Sequential:
    return nn.Sequential(*(nn.Sequential(nn.Linear(2, 2), nn.Dropout(p)) for p in rates))


def _rates(model: nn.Module) -> list[float]:
    return [float(module.p) for module in model.modules() if isinstance(module, nn.Dropout)]


def test_every_site_keeps_its_share_at_every_step() -> None:
    model, curve = _model(*BUILT), dt.early(0.8, until="80%")
    drop = dt.DropScheduler(model, dropout=dt.relative(curve), clock=CLOCK)
    schedule = curve.resolve(CLOCK)
    for step in range(10):
        wanted = [schedule(step) * built / 0.4 for built in BUILT]
        assert _rates(model) == pytest.approx(wanted, rel=1e-6)
        assert drop.get_last_rates() == {"dropout": schedule(step)}
        drop.step()
    drop.close()
    assert _rates(model) == list(BUILT)


@given(
    st.lists(st.floats(0.0, 0.99), min_size=1, max_size=6).filter(any),
    st.floats(0.0, 1.0, exclude_max=True),
)
def test_at_the_built_maximum_the_model_is_as_it_was_built(built: list[float], p: float) -> None:
    model = _model(*built)
    for rate in (max(built), p):
        curve = dt.relative(dt.standard(rate))
        drop = dt.DropScheduler(model, rates={"*": curve}, clock=CLOCK)
        wanted = [rate * (b / max(built)) for b in built]
        assert _rates(model) == pytest.approx(wanted, rel=1e-6, abs=1e-38)
        drop.close()


def test_a_rate_that_is_switched_off_and_on_acts() -> None:
    model = nn.Sequential(nn.Dropout(0.0), nn.Dropout(0.5))
    drop = dt.DropScheduler(model, dropout="relative(late(0.9, since=50%))", clock=CLOCK)
    ones = torch.ones(10_000)
    assert torch.equal(model(ones), ones)
    for _ in range(5):
        drop.step()
    dropped = float((model(ones) == 0).float().mean())
    assert abs(dropped - 0.9) < 5 * (0.9 * 0.1 / 10_000) ** 0.5  # 5 standard deviations
    drop.close()


def test_each_driver_has_a_maximum_of_its_own() -> None:
    model = _model(*BUILT)
    rates: dict[str, Any] = {
        "0-1.*": "relative(standard(0.5))",
        "2.*": "relative(standard(0.3))",
        "3.*": "standard(0.6)",
    }
    drop = dt.DropScheduler(model, rates=rates, clock=CLOCK)
    assert _rates(model) == pytest.approx([0.5, 0.0, 0.3, 0.6])
    drop.close()


def test_drop_path_relative_is_the_built_profile() -> None:
    model = timm.create_model("convnext_atto", drop_path_rate=0.2)
    for curve in ("relative(standard(0.4))", "standard(0.4)"):
        drop = dt.DropScheduler(model, drop_path=curve, clock=CLOCK)
        factors = {row.site.path: row.factor for row in drop.plan.rows if row.driver}
        assert drop.plan.profile == "kept: the built profile, d / 0.2"
        drop.close()
        built = {site.path: site.rate for site in dt.find_sites(model) if site.kind == "drop_path"}
        assert factors == {path: rate / max(built.values()) for path, rate in built.items()}


NOTHING: dict[str, tuple[dict[str, Any], str]] = {
    "dropout": ({"dropout": "relative(standard(0.1))"}, "dropout: .* 2 sites were built at 0"),
    "selector": ({"rates": {"*": "relative(standard(0.1))"}}, r"\*: .* 2 sites were built at 0"),
}


@pytest.mark.parametrize("case", NOTHING)
def test_a_share_of_nothing_is_an_error(case: str) -> None:
    arguments, problem = NOTHING[case]
    model = _model(0.0, 0.0)
    with pytest.raises(NoSiteError, match=problem):
        dt.DropScheduler(model, clock=CLOCK, **arguments)
    with pytest.raises(NoSiteError, match=r"or leave relative\(...\) out"):
        dt.plan(model, **arguments)


def test_drop_path_relative_needs_a_model_built_with_rates() -> None:
    with torch.device("meta"):
        model = timm.create_model("convnext_atto")
    assert "laid" in dt.plan(model, drop_path="standard(0.1)").profile
    with pytest.raises(NoSiteError, match="drop_path: the curve is relative"):
        dt.plan(model, drop_path="relative(standard(0.1))")


def test_the_plan_shows_what_stays_at_zero_and_the_shares() -> None:
    plan = dt.plan(_model(*BUILT), dropout="relative(standard(0.1))")
    assert [row.factor for row in plan.rows] == [built / 0.4 for built in BUILT]
    assert plan.rows[1].why == "rate 0 as built, always"
    assert str(plan).endswith("\ndropout relative: built rate / 0.4")
    mapped = dt.plan(_model(*BUILT), rates={"element": "relative(standard(0.1))"})
    assert mapped.relative == (("element", 0.4),)
    assert dt.plan(_model(*BUILT)).relative == ()


def test_the_variable_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model(*BUILT)
    monkeypatch.setenv("DROPTIME", "element=relative(early(0.2, until=20%))")
    drop = dt.from_env(model, clock=CLOCK)
    assert _rates(model) == pytest.approx([0.05, 0.0, 0.2, 0.1])
    drop.close()
    monkeypatch.setenv("DROPTIME", "dropout=join(0%: standard(0), 5%: relative(standard(0.1)))")
    with pytest.raises(CurveSyntaxError, match="stands outside every other curve"):
        dt.from_env(model, clock=CLOCK)
    monkeypatch.setenv("DROPTIME", "dropout=relative(standard(0.1))")
    with pytest.raises(NoSiteError, match="DROPTIME: dropout: the curve is relative"):
        dt.from_env(_model(0.0), clock=CLOCK)


def test_a_state_goes_on_in_a_model_built_alike_and_in_no_other() -> None:
    curve = dt.relative(dt.early(0.8, until="80%"))
    first = dt.DropScheduler(_model(*BUILT), dropout=curve, clock=CLOCK)
    for _ in range(3):
        first.step()
    model = _model(*BUILT)
    again = dt.DropScheduler(model, dropout=str(curve), clock=CLOCK)
    again.load_state_dict(first.state_dict())
    assert again.get_last_rates() == first.get_last_rates()
    other = dt.DropScheduler(_model(0.1, 0.1, 0.4, 0.2), dropout=curve, clock=CLOCK)
    with pytest.raises(StateError, match="sites"):
        other.load_state_dict(first.state_dict())
    absolute = dt.DropScheduler(_model(*BUILT), dropout=curve.curve, clock=CLOCK)
    with pytest.raises(StateError, match="relative"):
        absolute.load_state_dict(first.state_dict())
