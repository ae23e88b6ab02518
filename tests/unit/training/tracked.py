"""What TensorBoard, Weights & Biases, MLflow and Trackio kept, read with their own means."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from droptime.records import Row, read_run
from droptime.training.trackers import values_of

Point = tuple[str, int, float]


@dataclass(frozen=True)
class Tracked:
    """A run as a tracker shows it.

    Attributes:
        name: of the run.
        state: whether it has finished; None where the tracker does not say.
        points: every value of every curve, repeated ones too.
        settings: what the tracker shows beside the curves.
    """

    name: str
    state: bool | None
    points: list[Point]
    settings: dict[str, Any]


def kept(run: Path) -> list[Point]:
    """Return every value of a run's record, sorted."""
    read = read_run(run)
    rows: list[Row] = [*read.steps, *read.evals, *read.dynamics]
    return sorted((name, row.step, value) for row in rows for name, value in values_of(row).items())


def of_tensorboard(run: Path) -> list[Tracked]:
    """Read the event files; TensorBoard keeps values in single precision."""
    accumulators: Any = import_module("tensorboard.backend.event_processing.event_accumulator")
    events = accumulators.EventAccumulator(str(run / "droptime"))
    events.Reload()
    points = [
        (name, event.step, event.value)
        for name in events.Tags()["scalars"]
        for event in events.Scalars(name)
    ]
    return [Tracked(run.name, None, points, {})]


def of_wandb(run: Path) -> list[Tracked]:
    """Read the files of offline runs: one run each time that it went on.

    Its other process may still be writing when ``finish`` returns, so their ends are waited for.
    """
    messages: Any = import_module("wandb.proto.wandb_internal_pb2")
    last = time.monotonic() + 60
    while True:
        paths = sorted((run / "wandb").glob("offline-run-*/*.wandb"))
        found = [_of_wandb_file(path, messages) for path in paths]
        if all(each.state is not None for each in found) or time.monotonic() > last:
            return found
        time.sleep(0.05)


def _of_wandb_file(path: Path, messages: Any) -> Tracked:
    name, finished = "", None
    points: list[Point] = []
    settings: dict[str, Any] = {}
    for data in _leveldb_records(path.read_bytes()):
        record = messages.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            name = f"{record.run.display_name}/{record.run.run_id}"
        if kind == "config":
            settings |= {item.key: json.loads(item.value_json) for item in record.config.update}
        if kind == "exit":
            finished = record.exit.exit_code == 0
        if kind == "history":
            items = {
                item.key or ".".join(item.nested_key): json.loads(item.value_json)
                for item in record.history.item
            }
            points += [
                (key, items["_step"], value)
                for key, value in items.items()
                if not key.startswith("_")
            ]
    return Tracked(name, finished, points, settings)


def _leveldb_records(data: bytes) -> Iterator[bytes]:
    """Split a log of LevelDB, after a header of 7 bytes, into records (its log_format.md)."""
    at, record = 7, b""
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        if at + 7 + length > len(data):  # still being written
            return
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def of_mlflow(_: Path) -> list[Tracked]:
    """Ask the tracking store that MLFLOW_TRACKING_URI names."""
    client: Any = import_module("mlflow").MlflowClient()
    (experiment,) = client.search_experiments(filter_string="name = 'droptime'")
    return [
        Tracked(
            run.info.run_name,
            {"FINISHED": True, "FAILED": False}[run.info.status],
            [
                (name, metric.step, metric.value)
                for name in run.data.metrics
                for metric in client.get_metric_history(run.info.run_id, name)
            ],
            run.data.params,
        )
        for run in client.search_runs([experiment.experiment_id])
    ]


def of_trackio(_: Path) -> list[Tracked]:
    """Ask Trackio's own storage."""
    storage: Any = import_module("trackio.sqlite_storage").SQLiteStorage
    return [
        Tracked(
            run.name,
            None,
            [
                (name, row["step"], value)
                for row in storage.get_logs("droptime", run.name, run_id=run.id)
                for name, value in row.items()
                if "/" in name
            ],
            run.config,
        )
        for run in import_module("trackio").Api().runs("droptime")
    ]


READERS: dict[str, Callable[[Path], list[Tracked]]] = {
    "tensorboard": of_tensorboard,
    "wandb": of_wandb,
    "mlflow": of_mlflow,
    "trackio": of_trackio,
}
