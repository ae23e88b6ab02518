"""The zoo can fail: what is wrong with a model is seen; notes and workers survive."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.zoo import notes, page, results
from tests.zoo.examine import Examination, examine, verdict
from tests.zoo.notes import Notes
from tests.zoo.portrait import Portrait
from tests.zoo.specimen import Specimen
from tests.zoo.worker import LostError, Worker


class Net(nn.Module):
    """A linear layer, and what a test does with it."""

    def __init__(self, forward: Callable[[Net, Tensor], Tensor], **modules: nn.Module) -> None:
        super().__init__()
        self.linear, self.forward_ = nn.Linear(4, 4), forward
        self.scale = torch.ones(1)
        self.register_buffer("steps", torch.zeros(1))
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_(self, self.linear(x))


def _examined(build: Callable[[bool], nn.Module]) -> Examination:
    return examine(Specimen("", "", "", build, lambda model: torch.ones(2, 4)))


def _whats(examination: Examination) -> list[str]:
    return [finding.what for finding in examination.findings]


def test_a_model_without_fault_is_proved() -> None:
    examination = _examined(
        lambda raised: Net(lambda net, x: net.drop(x), drop=nn.Dropout(0.2 if raised else 0.0))  # type: ignore[operator]
    )
    assert (examination.verdict, examination.raised.opened) == ("proved", 1)
    assert Examination.from_row(examination.as_row()) == examination


FAULTS: dict[str, tuple[Callable[[bool], nn.Module], str]] = {
    "dead": (lambda raised: Net(lambda net, x: x, drop=nn.Dropout(0.2)), "some ignored"),
    "absent": (
        lambda raised: (
            Net(lambda net, x: net.drop(x), drop=nn.Dropout(0.2))  # type: ignore[operator]
            if raised
            else Net(lambda net, x: x)
        ),
        "proved",
    ),
    "random": (lambda raised: Net(lambda net, x: x + torch.randn(4)), "not proved"),
    "failed": (lambda raised: Net(lambda net, x: x.view(3)), "not proved"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_is_a_finding(what: str) -> None:
    build, expected = FAULTS[what]
    examination = _examined(build)
    assert set(_whats(examination)) == {what}
    assert examination.verdict == expected


def test_one_rate_that_is_not_proved_is_enough() -> None:
    assert verdict(["dead", "unproven"], 3) == "not proved"
    assert verdict(["sealed"], 3) == "proved"
    assert verdict([], 0) == "no rate"


CHANGES: dict[str, Callable[[Net], object]] = {
    "scale": lambda net: setattr(net, "scale", torch.ones(1)),
    "new": lambda net: setattr(net, "new", 1),
    "_modules": lambda net: net.add_module("new", nn.Identity()),
    "(class)": lambda net: setattr(net.drop, "__class__", nn.Dropout1d),
    "p": lambda net: setattr(net.drop, "p", 0.3),
    "training": lambda net: net.get_submodule("drop").eval(),
    "_forward_hooks": lambda net: net.register_forward_hook(lambda *_: None),
    "state_dict": lambda net: net.get_buffer("steps").add_(1),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_portrait_sees_every_change(what: str) -> None:
    net = Net(lambda net, x: x, drop=nn.Dropout(0.2))
    portrait = Portrait.of(net)
    assert portrait.changes(net) == []
    CHANGES[what](net)
    assert any(what in change for change in portrait.changes(net))


def test_notes_survive_a_torn_line_and_forget_what_other_code_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "timm.jsonl"
    Notes(path, "timm").add("a", {"n": 1})
    with path.open("a") as file:
        file.write('["b", ["tor')
    again = Notes(path, "timm")
    assert again.rows == {"a": {"n": 1}}
    again.add("b", {"n": 2})
    assert Notes(path, "timm").rows == {"a": {"n": 1}, "b": {"n": 2}}
    monkeypatch.setattr(notes, "_code", lambda: "other")
    assert Notes(path, "timm").rows == {}
    assert Notes(path, "timm", keep=True).rows.keys() == {"a", "b"}


@pytest.mark.slow
def test_a_worker_that_is_lost_is_replaced() -> None:
    worker = Worker()
    try:
        with pytest.raises(LostError, match=r"no answer within 0.1 seconds"):
            worker.ask(time.sleep, 60, limit=0.1)
        assert worker.ask(abs, -2, limit=60) == 2
    finally:
        worker.stop()


def test_the_page_is_what_the_results_say() -> None:
    assert page.PATH.read_text() == page.render(results.read())
