"""A rate is not frozen into Inductor's caches on disk: a new process drops right from warm ones."""

from __future__ import annotations

import os

import pytest

from benchmarks.compiled_schedule import in_two_processes

pytestmark = pytest.mark.slow


def test_cold_and_warm_caches_drop_right(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = os.pathsep.join(filter(None, ["src", os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", paths)
    rows = in_two_processes(["nn.Dropout", "timm DropPath"], 24)
    assert [row["caches"] for row in rows] == ["cold", "cold", "warm", "warm"]
    for row in rows:
        assert row["rates"] == 23
        assert row["largest deviation (sd)"] < 5
        assert row["largest scale error"] < 1e-5
        assert row["training graphs"] == 2
        assert (row["cache hits"] > 0) == (row["caches"] == "warm")
