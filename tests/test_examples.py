"""The examples run, at a tiny size, and are short."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from droptime.sites.registry import USER_RULES

EXAMPLES = Path(__file__).parents[1] / "examples"
CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "plain_loop": ({"epochs": 2, "samples": 256}, "epoch 1: rate 0.000"),
    "timm_script": ({"epochs": 2, "updates": 2}, "epoch 1: {'drop_path': 0.0}"),
    "lightning_fit": ({"epochs": 2, "samples": 64}, "{'drop_path': 0.0, 'attention': 0.1}"),
    "trainer_text": ({"epochs": 1, "samples": 32}, "bert.embeddings.dropout "),
    "detection": ({"steps": 3}, "step 2: {'drop_path': 0.0, '*box_head*': 0.1}"),
    "own_site": ({"steps": 8}, "step 7: rate 0.50, masked 0.5"),
}
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*pin_memory"),
]


@pytest.fixture(autouse=True)
def _own_rules_end_with_the_test() -> Iterator[None]:
    rules = list(USER_RULES)
    yield
    USER_RULES[:] = rules


def test_every_example_is_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_it_is_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.parametrize("name", CALLS)
def test_it_runs(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DROPTIME", "drop_path=early(0.3, until=50%, shape=constant)")
    arguments, expected = CALLS[name]
    runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](**arguments)
    assert expected in capsys.readouterr().out
