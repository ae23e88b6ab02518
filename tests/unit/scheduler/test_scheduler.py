"""DropScheduler: what it drives, what it saves, what it refuses."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from droptime import Clock, DropScheduler, early, find_sites, late, scheduler, standard
from droptime.errors import (
    ClockError,
    ClosedSiteError,
    CurveError,
    NoSiteError,
    SiteError,
    StateError,
)
from droptime.layers import TensorRate

CLOCK = Clock(epochs=10, steps_per_epoch=10)


def _vit(**rates: float) -> nn.Module:
    model: nn.Module = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, depth=4, embed_dim=16, num_heads=2, **rates
    )
    return model


def _drop_probs(model: nn.Module) -> list[float]:
    blocks: Any = model.blocks
    paths = (path for block in blocks for path in (block.drop_path1, block.drop_path2))
    return [getattr(path, "p", 0.0) for path in paths]


def test_the_first_rate_is_in_force_at_construction() -> None:
    model = nn.Sequential(nn.Dropout(0.0))
    DropScheduler(model, dropout=standard(0.25), clock=CLOCK)
    assert model[0].p == 0.25
    assert (model(torch.ones(10_000)) == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_dropout_drives_the_papers_four_kinds_and_not_the_head() -> None:
    model = _vit()
    DropScheduler(model, dropout=standard(0.3), clock=CLOCK)
    rates = {n: m.p for n, m in model.named_modules() if isinstance(m, nn.Dropout)}
    assert rates.pop("head_drop") == 0.0
    assert set(rates.values()) == {0.3}
    assert len(rates) == 1 + 4 * 4


def test_drop_path_lays_the_papers_ramp_over_placeholders() -> None:
    model = _vit()
    keys = list(model.state_dict())
    DropScheduler(model, drop_path=standard(0.6), clock=CLOCK)
    assert _drop_probs(model) == pytest.approx([0.0, 0.0, 0.2, 0.2, 0.4, 0.4, 0.6, 0.6])
    assert list(model.state_dict()) == keys


def test_drop_path_keeps_a_built_profile() -> None:
    model = _vit(drop_path_rate=0.3)
    built = [getattr(m, "drop_prob", 0.0) for b in model.blocks for m in (b.drop_path1,)]  # type: ignore[union-attr]
    DropScheduler(model, drop_path=standard(0.6), clock=CLOCK)
    assert _drop_probs(model)[::2] == pytest.approx([2 * rate for rate in built])


def test_rates_go_by_kind_by_path_and_before_the_rest() -> None:
    model = _vit()
    drop = DropScheduler(
        model,
        dropout=standard(0.1),
        rates={
            "attention": standard(0.2),
            "head_drop": standard(0.5),
            "blocks.0.mlp.*": "standard(0.4)",
        },
        clock=CLOCK,
    )
    rates = {n: m.p for n, m in model.named_modules() if isinstance(m, nn.Dropout)}
    assert rates["pos_drop"] == rates["blocks.1.mlp.drop1"] == 0.1
    assert rates["blocks.3.attn.attn_drop"] == 0.2
    assert rates["blocks.0.mlp.drop2"] == 0.4
    assert rates["head_drop"] == 0.5
    assert drop.get_last_rates() == {
        "dropout": 0.1,
        "attention": 0.2,
        "head_drop": 0.5,
        "blocks.0.mlp.*": 0.4,
    }


def test_a_function_is_a_curve() -> None:
    model = nn.Sequential(nn.Dropout(0.0))
    drop = DropScheduler(model, dropout=lambda step: 0.5 if step == 2 else 0.0)
    seen = []
    for _ in range(4):
        seen.append(model[0].p)
        drop.step()
    assert seen == [0.0, 0.0, 0.5, 0.0]


def test_rate_zero_leaves_the_random_stream_alone() -> None:
    model = nn.Sequential(nn.Dropout(0.0), nn.Dropout(0.0))
    DropScheduler(model, dropout=late(0.5, since="5ep"), clock=CLOCK)
    x = torch.randn(3)
    before = torch.get_rng_state()
    assert model(x) is x
    assert torch.equal(before, torch.get_rng_state())


def test_state_is_json_and_loads_into_a_new_scheduler() -> None:
    drop = DropScheduler(_vit(), dropout=early(0.5, until="5ep"), clock=CLOCK)
    for _ in range(17):
        drop.step()
    state = json.loads(json.dumps(drop.state_dict()))
    model = _vit()
    again = DropScheduler(model, dropout=early(0.5, until="5ep"), clock=CLOCK)
    again.load_state_dict(state)
    assert again.last_step == 17
    assert again.get_last_rates() == drop.get_last_rates()
    assert model.pos_drop.p == drop.get_last_rates()["dropout"]  # type: ignore[union-attr]


SAVED: dict[str, Any] = {"dropout": early(0.5, until="5ep"), "clock": CLOCK}
OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "another rate": ({**SAVED, "dropout": early(0.4, until="5ep")}, "dropout: saved early"),
    "one more curve": ({**SAVED, "drop_path": standard(0.1)}, "drop_path: saved nothing"),
    "another clock": ({**SAVED, "clock": Clock(epochs=9, steps_per_epoch=10)}, "clock: saved"),
    "other sites": ({**SAVED, "rates": {"attention": standard(0.1)}}, "sites: saved 17 sites"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_state_of_another_schedule_is_refused(name: str) -> None:
    other, message = OTHERS[name]
    saved = DropScheduler(_vit(), **SAVED)
    saved.step()
    drop = DropScheduler(_vit(), **other)
    with pytest.raises(StateError, match=message):
        drop.load_state_dict(saved.state_dict())
    assert drop.last_step == 0


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"step": 1},
        {"step": "x", "fingerprint": {}},
        {"step": -3, "fingerprint": {}},
        {"step": 3.7, "fingerprint": {}},
    ],
)
def test_what_is_no_state_is_refused(state: dict[str, Any]) -> None:
    drop = DropScheduler(nn.Dropout(0.0), dropout=standard(0.1))
    with pytest.raises(StateError, match="expected 'step', a whole number"):
        drop.load_state_dict(state)


def test_the_clock_ends() -> None:
    drop = DropScheduler(nn.Dropout(0.0), dropout=standard(0.1), clock=Clock(total_steps=2))
    drop.step()
    drop.step()
    with pytest.raises(ClockError, match="past the end of"):
        drop.step()


def test_close_gives_everything_back_and_ends_the_scheduler() -> None:
    model = _vit(attn_drop_rate=0.2)
    before = {n: (type(m), dict(vars(m))) for n, m in model.named_modules()}
    drop = DropScheduler(model, dropout=standard(0.3), drop_path=standard(0.4), clock=CLOCK)
    drop.step()
    drop.close()
    drop.close()
    after = {n: (type(m), dict(vars(m))) for n, m in model.named_modules()}
    assert before.keys() == after.keys()
    for name, (cls, fields) in before.items():
        assert after[name][0] is cls
        assert after[name][1].keys() == fields.keys()
    assert model.blocks[0].attn.attn_drop.p == 0.2  # type: ignore[union-attr, index]
    with pytest.raises(StateError, match="closed"):
        drop.step()


def test_two_schedulers_may_share_a_model_but_not_a_site() -> None:
    model = _vit()
    first = DropScheduler(model, dropout=standard(0.1), clock=CLOCK)
    DropScheduler(model, drop_path=standard(0.2), clock=CLOCK)
    with pytest.raises(SiteError, match="already driven"):
        DropScheduler(model, rates={"attention": standard(0.3)}, clock=CLOCK)
    first.close()
    DropScheduler(model, rates={"attention": standard(0.3)}, clock=CLOCK)


def test_rates_stand_on_the_device_of_the_parameters_around_them() -> None:
    with torch.device("meta"):
        model = _vit()
    DropScheduler(model, dropout=standard(0.3), drop_path=standard(0.4), clock=CLOCK)
    rates = [module for module in model.modules() if isinstance(module, TensorRate)]
    assert {rate.rate.device.type for rate in rates} == {"meta"}
    model.to_empty(device="cpu")
    assert {rate.rate.device.type for rate in rates} == {"cpu"}
    assert all(rate.rate.item() == pytest.approx(rate.p) for rate in rates)


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no model": (lambda: DropScheduler("vit", dropout=standard(0.1)), SiteError, "torch.nn.Module"),  # type: ignore[arg-type]
    "no mapping": (lambda: DropScheduler(_vit(), rates=["head"]), SiteError, "expected a mapping"),  # type: ignore[arg-type]
    "no clock at all": (
        lambda: DropScheduler(_vit(), dropout=standard(0.1), clock=5),  # type: ignore[arg-type]
        ClockError,
        r"droptime\.Clock",
    ),
    "twice": (
        lambda: DropScheduler(_vit(), drop_path=standard(0.1), rates={"drop_path": standard(0.2)}),
        SiteError,
        "give one",
    ),
    "no curve": (lambda: DropScheduler(_vit()), SiteError, "no curve"),
    "a number": (
        lambda: DropScheduler(_vit(), dropout=0.1),  # type: ignore[arg-type]
        CurveError,
        r"standard\(0\.1\)",
    ),
    "no site": (
        lambda: DropScheduler(nn.Linear(2, 2), dropout=standard(0.1)),
        NoSiteError,
        "no dropout of any kind",
    ),
    "only a head": (
        lambda: DropScheduler(nn.ModuleDict({"head": nn.Dropout()}), dropout=standard(0.1)),
        NoSiteError,
        r"It has: head \(open\)",
    ),
    "nothing left": (
        lambda: DropScheduler(
            nn.Sequential(nn.Dropout()), dropout=standard(0.1), rates={"element": standard(0.2)}
        ),
        NoSiteError,
        "rates= takes every one",
    ),
    "no drop path": (
        lambda: DropScheduler(nn.Sequential(nn.Dropout()), drop_path=standard(0.1)),
        NoSiteError,
        "drop_path_rate",
    ),
    "unknown selector": (
        lambda: DropScheduler(_vit(), rates={"atention": standard(0.1)}),
        NoSiteError,
        "Did you mean 'attention'",
    ),
    "selectors that overlap": (
        lambda: DropScheduler(
            _vit(), rates={"attention": standard(0.1), "blocks.*": standard(0.2)}
        ),
        SiteError,
        "narrow one",
    ),
    "sealed": (
        lambda: DropScheduler(_vit(), rates={"patch": standard(0.1)}),
        ClosedSiteError,
        "patch_drop_rate above 0",
    ),
    "no clock": (
        lambda: DropScheduler(_vit(), dropout=early(0.1, until="5ep")),
        ClockError,
        "steps_per_epoch",
    ),
    "one layer does not drop": (
        lambda: DropScheduler(nn.LSTM(4, 4), dropout=standard(0.1)),
        NoSiteError,
        r"element \(dead\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()


def test_a_refused_scheduler_leaves_the_model_as_it_was() -> None:
    model = _vit()
    classes = [type(module) for module in model.modules()]
    with pytest.raises(SiteError):
        DropScheduler(model, dropout=standard(0.1), rates={"patch": standard(0.1)}, clock=CLOCK)
    assert [type(module) for module in model.modules()] == classes
    DropScheduler(model, dropout=standard(0.1), clock=CLOCK)


def _mha() -> nn.Module:
    model: nn.Module = torchvision.models.VisionTransformer(32, 16, 2, 2, 32, 64, num_classes=5)
    return model


@pytest.mark.parametrize("build", [_vit, _mha], ids=["timm", "torchvision"])
def test_a_copy_of_a_driven_model_has_the_same_sites_and_can_be_driven(
    build: Callable[[], nn.Module],
) -> None:
    model = build()
    names = [site.name for site in find_sites(model)]
    first = DropScheduler(model, dropout=standard(0.1), clock=CLOCK)
    twin = copy.deepcopy(model)
    assert [site.name for site in find_sites(model)] == names
    assert [site.name for site in find_sites(twin)] == names
    second = DropScheduler(twin, dropout=standard(0.4), clock=CLOCK)
    assert {site.rate for site in find_sites(twin) if site.kind == "attention"} == {0.4}
    assert {site.rate for site in find_sites(model) if site.kind == "attention"} == {0.1}
    second.close()
    first.close()


def test_two_schedulers_never_share_a_drop_path() -> None:
    model = _vit(drop_path_rate=0.1)
    DropScheduler(model, drop_path=standard(0.2), clock=CLOCK)
    with pytest.raises(SiteError, match="already driven"):
        DropScheduler(model, drop_path=standard(0.3), clock=CLOCK)


def test_a_grip_that_fails_gives_back_what_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _vit()
    classes = [type(module) for module in model.modules()]

    def broken(model: nn.Module) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(scheduler, "place_rates", broken)
    with pytest.raises(RuntimeError, match="no memory"):
        DropScheduler(model, dropout=standard(0.1), drop_path=standard(0.2), clock=CLOCK)
    assert [type(module) for module in model.modules()] == classes
    monkeypatch.undo()
    DropScheduler(model, dropout=standard(0.1), clock=CLOCK)


def test_a_curve_that_fails_changes_no_rate() -> None:
    model = _vit()
    drop = DropScheduler(
        model,
        dropout=lambda step: 0.1 + step / 100,
        drop_path=lambda step: 0.1 if step == 0 else 2.0,
    )
    with pytest.raises(CurveError):
        drop.step()
    assert drop.last_step == 0
    assert drop.get_last_rates() == {"dropout": 0.1, "drop_path": 0.1}
    assert model.pos_drop.p == 0.1  # type: ignore[union-attr]


def test_a_selector_named_drop_path_gives_every_site_its_rate() -> None:
    model = _vit()
    DropScheduler(model, rates={"drop_path": standard(0.2)}, clock=CLOCK)
    assert _drop_probs(model) == [0.2] * 8


def test_sites_of_a_regionally_compiled_model_keep_their_names() -> None:
    model = _vit()
    names = [site.name for site in find_sites(model)]
    blocks: Any = model.blocks
    for index, block in enumerate(blocks):
        blocks[index] = torch.compile(block, backend="eager")
    assert [site.name for site in find_sites(model)] == names
