"""The curves of the variable DROPTIME, and a script that does not have it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from torch import nn

from droptime import Clock, DropScheduler, early, from_env, standard
from droptime.errors import (
    ClockError,
    CurveError,
    CurveSyntaxError,
    NoSiteError,
    SiteError,
    StateError,
)

CLOCK = Clock(epochs=10, steps_per_epoch=10)


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(4, 1)
        self.drop = nn.Dropout(0.0)
        self.drop_path = nn.Identity()


def _model() -> nn.Module:
    return nn.ModuleDict({"block": _Block(), "head": nn.Dropout(0.0)})


def _rates(variable: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("DROPTIME", variable)
    return {name: str(curve) for name, curve in from_env(_model(), clock=CLOCK).curves.items()}


def test_one_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPTIME", "dropout=early(0.1, until=20%)")
    drop = from_env(_model(), clock=CLOCK)
    same = DropScheduler(_model(), dropout=early(0.1, until="20%"), clock=CLOCK)
    assert drop.state_dict() == same.state_dict()
    assert drop.get_last_rates() == {"dropout": 0.1}


def test_several_curves_are_arguments_and_selectors(monkeypatch: pytest.MonkeyPatch) -> None:
    variable = """
        dropout = early(0.1, until=5ep);
        drop_path=standard(0.2) ; attention=standard(0.3);he*d = join(0ep: standard(0.1),
        5ep: standard(0));
    """
    assert _rates(variable, monkeypatch) == {
        "dropout": "early(0.1, until=5ep, shape=linear)",
        "drop_path": "standard(0.2)",
        "attention": "standard(0.3)",
        "he*d": "join(0ep: standard(0.1), 5ep: standard(0.0))",
    }


REFUSED: dict[str, tuple[str, type[Exception], str, str]] = {
    "a rate": ("dropout=early(1.1, until=5ep)", CurveSyntaxError, "not a drop rate", "1.1"),
    "in the second": (
        "dropout=standard(0.1);  drop_path=erly(0.1)",
        CurveSyntaxError,
        "erly",
        "erly",
    ),
    "no name": ("early(0.1, until=20%)", CurveSyntaxError, "name=curve", "early(0.1, until=20%)"),
    "no curve": (
        "attention = ;dropout=standard(0)",
        CurveSyntaxError,
        "curve after",
        "attention =",
    ),
    "an empty name": ("=standard(0)", CurveSyntaxError, "name before", "=standard(0)"),
    "a word": ("dropout=standard(0); off", CurveSyntaxError, "name=curve", "off"),
    "twice": (
        "attention=standard(0); attention=standard(0.1)",
        CurveSyntaxError,
        "twice",
        "attention",
    ),
    "no such site": ("dropout=standard(0); atention=standard(0)", NoSiteError, "Did", "atention"),
    "past the end": (
        "attention=standard(0); dropout=early(0.1, until=11ep)",
        ClockError,
        "past the end of the run",
        "early(0.1, until=11ep)",
    ),
    "no step": (
        "attention=standard(0); dropout=early(0.1, until=0.01ep)",
        CurveError,
        "less than one step",
        "early(0.1, until=0.01ep)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_error_points_at_its_piece(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable, error, problem, piece = REFUSED[name]
    monkeypatch.setenv("DROPTIME", variable)
    with pytest.raises(error, match=problem) as caught:
        from_env(_model(), clock=CLOCK)
    message, text, marker = str(caught.value).rsplit("\n", 2)
    assert message.startswith("DROPTIME: ")
    assert text == "  " + variable
    pointed = text[marker.index("^") : marker.rindex("^") + 1]
    assert pointed == piece
    if name == "twice":
        assert marker.index("^") > text.index(";")


def test_selectors_that_overlap_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPTIME", "attention=standard(0); block.*=standard(0.1)")
    with pytest.raises(SiteError, match="matched by"):
        from_env(_model(), clock=CLOCK)


@pytest.mark.parametrize("variable", [None, "", "  \n"])
def test_unset_drives_nothing(variable: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if variable is None:
        monkeypatch.delenv("DROPTIME", raising=False)
    else:
        monkeypatch.setenv("DROPTIME", variable)
    model = _model()
    before = [(type(module), dict(vars(module))) for module in model.modules()]
    drop = from_env(model, clock=Clock(total_steps=2))
    assert isinstance(drop, DropScheduler)
    drop.step()
    drop.step()
    assert [(type(module), dict(vars(module))) for module in model.modules()] == before
    assert drop.get_last_rates() == {}
    assert not [row for row in drop.plan.rows if row.driver]
    with pytest.raises(ClockError, match="past the end"):
        drop.step()
    drop.close()
    with pytest.raises(StateError, match="closed"):
        drop.step()


def test_the_state_of_an_undriven_run_moves_and_refuses_a_driven_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DROPTIME", raising=False)
    drop = from_env(_model(), clock=CLOCK)
    drop.step()
    again = from_env(_model(), clock=CLOCK)
    again.load_state_dict(drop.state_dict())
    assert again.last_step == 1
    driven = DropScheduler(_model(), dropout=standard(0.1), clock=CLOCK)
    with pytest.raises(StateError, match=r"dropout: saved standard\(0.1\), here nothing"):
        again.load_state_dict(driven.state_dict())
    with pytest.raises(StateError, match="dropout: saved nothing"):
        driven.load_state_dict(drop.state_dict())


def test_a_script_becomes_an_arm_by_its_environment() -> None:
    script = (
        "import torch, droptime as dt\n"
        "model = torch.nn.Sequential(torch.nn.Dropout(0.0))\n"
        "drop = dt.from_env(model, clock=dt.Clock(total_steps=10))\n"
        "drop.step()\n"
        "print(model[0].p)\n"
    )
    for variable, rate in (("dropout=standard(0.3)", "0.3"), ("", "0.0")):
        out = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"DROPTIME": variable},
            capture_output=True,
            text=True,
            check=True,
        )
        assert out.stdout.strip() == rate
