"""A run's rows in trackers' own files, as their own libraries read them back."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from accelerate.tracking import TensorBoardTracker

from droptime.errors import ConfigError, MissingExtraError
from droptime.records import DynamicsRow, Estimate, EvalRow
from droptime.training import Event, TrainConfig, trackers, train
from droptime.training.trackers import values_of
from tests.unit.training.conftest import Tiny
from tests.unit.training.tracked import READERS, Tracked, kept

# Their own libraries, and those that these use, warn; what droptime warns of is a UserWarning.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}")
    for kind in ("DeprecationWarning", "FutureWarning", "ResourceWarning")
]
NAMES = ("tensorboard", "wandb", "mlflow", "trackio")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """One tracker that is installed, without a network, with all its files in a test's folder."""
    for variable, value in {
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_CACHE_DIR": str(tmp_path / "home"),
        "WANDB_CONFIG_DIR": str(tmp_path / "home"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "TRACKIO_DIR": str(tmp_path / "trackio"),
    }.items():
        monkeypatch.setenv(variable, value)
    tracker = str(request.param)
    pytest.importorskip(tracker, reason=f"{tracker} is not installed")
    if tracker == "trackio":  # it reads its variable when it is imported
        for module in ("trackio.utils", "trackio.sqlite_storage"):
            monkeypatch.setattr(f"{module}.TRACKIO_DIR", tmp_path / "trackio")
    return tracker


@pytest.fixture
def config(name: str, tiny: Tiny) -> TrainConfig:
    """A run with every kind of row, for one tracker."""
    return tiny(
        trackers=name,
        dropout="early(0.2, until=50%)",
        ema_decay=0.9,
        probe_every=5,
        probe_batches=2,
        probe_groups="blocks.*.attn.*",
        epochs=2,
    )


def test_every_value_at_its_step(config: TrainConfig, name: str, tmp_path: Path) -> None:
    train(config, tmp_path / "none-s0")
    (shown,) = READERS[name](tmp_path / "none-s0")
    assert same(shown, kept(tmp_path / "none-s0"))
    assert shown.name.startswith("none-s0")
    assert shown.state in (True, None)
    expected = {key: str(value) for key, value in config.to_dict().items()}
    if shown.settings:
        assert expected.items() <= {k: str(v) for k, v in shown.settings.items()}.items()
    else:
        assert name == "tensorboard"


def test_a_run_that_goes_on_is_one_run(config: TrainConfig, name: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", listen=at_an_evaluation(press_ctrl_c))
    (stopped,) = READERS[name](tmp_path / "run")
    assert stopped.state in (False, None)
    assert same(stopped, kept(tmp_path / "run"))
    train(config, tmp_path / "run")
    shown = READERS[name](tmp_path / "run")
    if name == "wandb":  # a file each time, of one id, which wandb sync puts together
        assert len({run.name.partition("/")[2] for run in shown}) == 1
        shown = [Tracked("", shown[-1].state, [p for run in shown for p in run.points], {})]
    (whole,) = shown
    assert whole.state in (True, None)
    assert same(whole, kept(tmp_path / "run"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard")
def test_tensorboard_drops_what_a_crashed_run_makes_again(tiny: Tiny, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    config = tiny(trackers="tensorboard", checkpoint_every=3, log_every=1)
    with pytest.raises(RuntimeError, match="crash"):
        train(config, tmp_path, listen=at_an_evaluation(crash))
    train(config, tmp_path)
    assert same(READERS["tensorboard"](tmp_path)[0], kept(tmp_path))


def test_one_that_fails_on_the_way_stops_no_run(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("server gone")

    pytest.importorskip("tensorboard")
    monkeypatch.setattr(TensorBoardTracker, "log", fail)
    with pytest.warns(UserWarning, match="tensorboard gets no more rows, from step 0 on: server"):
        summary = train(tiny(trackers="tensorboard", epochs=1), tmp_path)
    assert summary.steps == 5


def test_one_that_does_not_start_stops_the_run(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no key")

    pytest.importorskip("tensorboard")
    monkeypatch.setattr(TensorBoardTracker, "store_init_configuration", fail)
    with pytest.raises(ConfigError, match="tensorboard does not start: no key"):
        train(tiny(trackers="tensorboard"), tmp_path)
    monkeypatch.undo()
    train(tiny(trackers="tensorboard", epochs=3), tmp_path)
    assert json.loads((tmp_path / "trackers.json").read_text()) == {"tensorboard": "droptime"}


def test_groups_of_parameters_under_names_that_all_take() -> None:
    estimates = {"error": Estimate(0.5, 0.1)}
    row = DynamicsRow(0, 0.0, 2, 8, True, estimates, groups={"blocks.*.attn.*": estimates})
    assert values_of(row) == {"gradients/error": 0.5, "gradients/blocks._.attn._/error": 0.5}


def test_a_tracker_that_is_not_there(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "get_available_trackers", lambda: ["tensorboard"])
    with pytest.raises(MissingExtraError, match="trackio"):
        train(tiny(trackers="trackio"), tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_a_tracker_that_is_not_known(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="expected some of tensorboard, wandb, mlflow, trackio"):
        tiny(trackers="tensorboard,aim")


def at_an_evaluation(what: Callable[[], None]) -> Callable[[Event], None]:
    """Return a listener that does something once an epoch."""

    def listen(event: Event) -> None:
        if isinstance(event, EvalRow) and event.weights == "raw":
            what()

    return listen


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def crash() -> None:
    raise RuntimeError("crash")


def same(shown: Tracked, expected: list[tuple[str, int, float]]) -> bool:
    """Whether a tracker shows these values, each once (TensorBoard's are in single precision)."""
    points = sorted(shown.points)
    assert [point[:2] for point in points] == [point[:2] for point in expected]
    assert [point[2] for point in points] == pytest.approx([p[2] for p in expected], rel=1e-6)
    return True
