"""A run from its first step to its last, able to stop after any and go on as if it had not."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from torch import Tensor

from droptime.errors import CheckpointError, ConfigError, DivergedError, DroptimeError
from droptime.records import JSON, DynamicsRow, Row, RunWriter, StepRow, Summary, read_settings
from droptime.training.blame import explain
from droptime.training.data import load_data
from droptime.training.data.sources import load_sources
from droptime.training.data.stream import Batch, TrainStream
from droptime.training.environment import describe
from droptime.training.events import Event, Listener, Saved, Started
from droptime.training.freed_memory import freed_memory_kept
from droptime.training.measuring.evaluate import Evaluator
from droptime.training.measuring.probing import dynamics_row, make_probe, probe_due
from droptime.training.models.build import build_model, expected_size
from droptime.training.processes.devices import make_accelerator
from droptime.training.processes.ranks import Ranks
from droptime.training.processes.silent import SilentWriter
from droptime.training.saving import checkpoint as checkpoints
from droptime.training.saving.cadence import Cadence
from droptime.training.saving.position import Position, pack, unpack
from droptime.training.seeds import seed_streams
from droptime.training.settings.changes import check_origin, check_place, moves
from droptime.training.settings.config import TrainConfig
from droptime.training.signals import Interrupted, Interruption
from droptime.training.step.engine import Engine
from droptime.training.step.losses import LossWindow
from droptime.training.step.optim import WarmupCosine
from droptime.training.trackers import Trackers
from droptime.types import Clock

_NOT_ITS_OWN = (CheckpointError, AttributeError, LookupError, TypeError, ValueError)
"""What another's or a made-up checkpoint ends in; a device without memory is neither."""

_FILES = {"raw": "model.safetensors", "ema": "ema.safetensors"}


class Trainer:
    """One run: its data, its engine, its records, and where it stands.

    Args:
        config: what to train.
        out: the run directory, new or to be continued.
        listen: told how the run begins and every row it records.
        changed: settings that the run in ``out`` did not have so far.
        allow_change: go on with another number of processes too.

    Raises:
        DroptimeError: data, model, settings or the run directory cannot be used.
    """

    def __init__(
        self,
        config: TrainConfig,
        out: Path,
        *,
        listen: Listener,
        changed: Mapping[str, JSON] = MappingProxyType({}),
        allow_change: bool = False,
    ) -> None:
        accelerator = make_accelerator(config, logs=out)
        self.ranks = Ranks.of_this_process()
        if config.download:
            with accelerator.local_main_process_first():
                load_sources(config)
        data = load_data(config, expected_size=expected_size(config), device=accelerator.device)
        stream = TrainStream(data, config, self.ranks)
        clock = Clock(epochs=config.epochs, steps_per_epoch=stream.steps_per_epoch)
        model = build_model(config, data)
        self.config, self.out, self._listen = config, out, listen
        self._changed, self._allow_change = changed, allow_change
        self.data, self.stream = data, stream
        self.lr = WarmupCosine.of(config, clock)
        self.engine = Engine(
            model, config=config, clock=clock, accelerator=accelerator, ranks=self.ranks
        )
        self.device = accelerator.device
        self.total_steps = config.epochs * stream.steps_per_epoch
        self._accelerator = accelerator
        self.position = Position(losses=LossWindow(self.ranks.mean))
        seed_streams(self.ranks.seed(config.seed, "masks"))
        self._evaluator = Evaluator(
            data=data,
            normalise=stream.augment.normalise,
            batch_size=stream.piece,
            precision=accelerator.autocast,
            ranks=self.ranks,
        )
        self._interruption = Interruption(self.ranks.largest)
        self._probe = None
        if config.probe_every is not None:
            self._probe = make_probe(
                self.engine.bare,
                data.train,
                config=config,
                augment=stream.augment,
                precision=accelerator.autocast,
                between=self._interruption.check,
                ranks=self.ranks,
            )
        self._cadence = Cadence(config, 0)
        self._known_rows: Any = None

    def run(self) -> Summary:
        """Train to the end, from the newest whole checkpoint if there is one.

        Raises:
            DivergedError: a loss or a weight is not finite; the last checkpoint is good.
            KeyboardInterrupt: Ctrl-C came; a checkpoint was written first.
            Preempted: SIGTERM or SIGUSR1 came; a checkpoint was written first.
        """
        self._resume()
        self._began = time.perf_counter() - self.position.seconds
        with (
            freed_memory_kept(self.device),
            self._interruption as interruption,
            self._open_records() as writer,
            closing(Trackers(self._accelerator, self.config)) as trackers,
        ):
            self._writer, self._trackers = writer, trackers
            if self.ranks.first:
                for folder in (self.out, self._checkpoints):
                    checkpoints.sweep(folder)
            self._tell(self._started())
            try:
                self._train(interruption)
            except Interrupted:
                self._tell(Saved(self.position.step, self._save()))
            else:
                return self._finish()
        raise self._interruption.stop()

    def _train(self, interruption: Interruption) -> None:
        with closing(self.stream.batches(first=self.position.step)) as batches:
            while True:
                interruption.check()
                if self._evaluation_due():
                    self._evaluate(interruption)
                if self._save_due():
                    self._save()
                self._measure_gradients()
                if self.position.step == self.total_steps:
                    return
                self._make_step(batches)

    def _make_step(self, batches: Iterator[Batch]) -> None:
        step, lr = self.position.step, self.lr(self.position.step)
        self.position.losses.add(self.engine.update(batches, lr=lr))
        if step % self.config.log_every == 0 or step + 1 == self.total_steps:
            loss, skipped = self._mean_loss()
            self._record(
                StepRow(step, self._epochs(step + 1), loss, lr, self.engine.rates(), skipped)
            )
        self.engine.advance_rates()
        self.position.step += 1

    def _mean_loss(self) -> tuple[float, tuple[int, ...]]:
        try:
            loss, skipped = self.position.losses.drain(
                last_step=self.position.step, spare=self._spare
            )
        except DivergedError as error:
            self._stop(error)
        self.position.skipped += len(skipped)
        return loss, skipped

    @property
    def _spare(self) -> int:
        """How many more steps may be skipped."""
        return max(self.config.skip_nonfinite - self.position.skipped, 0)

    def _evaluation_due(self) -> bool:
        step, last = self.position.step, self.position.evaluated
        if last is not None and last.step == step - 1:
            return False
        epoch, place = divmod(step, self.stream.steps_per_epoch)
        at_epoch = place == 0 and epoch > 0 and epoch % self.config.eval_every == 0
        return at_epoch or step == self.total_steps

    def _evaluate(self, interruption: Interruption) -> None:
        step = self.position.step
        rows = []
        for weights, holding in self.engine.versions().items():
            with holding:
                rows.append(
                    self._evaluator.row(
                        self.engine.model,
                        step=step - 1,
                        epoch=self._epochs(step),
                        weights=weights,
                        between=interruption.check,
                    )
                )
        for row in rows:
            self._record(row)
        self.position.evaluated = rows[0]

    def _measure_gradients(self) -> None:
        step, every = self.position.step, self.config.probe_every
        if self._probe is None or every is None:
            return
        if probe_due(step, every=every, total=self.total_steps):
            try:
                found = self._probe(step)
            except DivergedError as error:
                self._stop(error)
            self._record(dynamics_row(found, self._epochs(step)))

    def gradients_at(self, weights: Mapping[str, Tensor], step: int) -> DynamicsRow:
        """Measure the gradients at other weights of this run, ``step`` steps from its start.

        Raises:
            CheckpointError: the weights are of another model.
            ConfigError: the run's settings have no ``probe_every``.
        """
        if self._probe is None:
            raise ConfigError("This run measures no gradients: set probe_every.")
        self.engine.place(weights, step)
        return dynamics_row(self._probe(step), self._epochs(step))

    def _save_due(self) -> bool:
        due = self._cadence.due(self.position.step)
        if self.config.checkpoint_minutes is None:
            return due
        return bool(self.ranks.largest(due))  # no two processes have the same clock

    def _save(self) -> Path:
        """Write a checkpoint of this moment, if everything in it is finite."""
        step = self.position.step
        try:
            self.position.losses.check(last_step=step - 1, spare=self._spare)
        except DivergedError as error:
            self._stop(error)
        if not self.engine.is_finite():
            harmed = DivergedError(f"A weight is no longer finite after step {step - 1}.")
            harmed.step = step - 1  # its loss was finite: its gradient was not
            self._stop(harmed)
        self._writer.flush()
        self.position.seconds = self._seconds()
        now = pack(
            self.position,
            self.engine,
            self.config,
            self.ranks,
            train_images=len(self.data.train),
            rows=self._writer.digest,
        )
        path = self._checkpoints
        if self.ranks.first:
            path = checkpoints.save(self._checkpoints, now, keep=self.config.keep_checkpoints)
        self.ranks.wait()
        self._cadence.saved(step)
        return path

    def _resume(self) -> None:
        found, problems = checkpoints.load_newest(self._checkpoints)
        if problems:
            since = f"step {found.step}" if found else "the beginning"
            warnings.warn(f"{' '.join(problems)} Going on from {since}.", stacklevel=2)
        steps = self.ranks.gather(None if found is None else found.step)
        if len(set(steps)) > 1:
            raise CheckpointError(
                f"{self._checkpoints} is not the same for all processes, which found checkpoints "
                f"after {', '.join(map(str, steps))} steps: use a folder that all of them see."
            )
        if found is not None:
            try:
                self._go_to(found)
            except ConfigError:
                raise
            except _NOT_ITS_OWN as error:
                said = error if isinstance(error, DroptimeError) else repr(error)
                raise CheckpointError(
                    f"The run cannot go on from the checkpoint after {found.step} steps in "
                    f"{self._checkpoints}: {said}\nPut its own back, or choose another directory."
                ) from error
        self._cadence.saved(self.position.step)

    def _go_to(self, found: checkpoints.Checkpoint) -> None:
        if not (self.out / "config.json").exists():
            raise CheckpointError(f"{self.out} has no config.json that says of which run it is.")
        config, changes = read_settings(self.out)
        now = {name: config.get(name) for name in self._changed}
        check_origin(self.config, found.values, [now, *(change.before for change in changes)])
        check_place(
            found.values,
            images=len(self.data.train),
            total_steps=self.total_steps,
            step=found.step,
            processes=None if self._allow_change else self.ranks.count,
        )
        moved = moves(self.config, found.values)
        unpack(found, self.position, self.engine, self.ranks, moved=moved)
        self._known_rows = found.values.get("rows")

    def _open_records(self) -> RunWriter | SilentWriter:
        if not self.ranks.first:
            return SilentWriter()
        if (self.out / "config.json").exists():
            step = self.position.step - 1
            return RunWriter.resume(
                self.out, step=step, changed=self._changed, digest=self._known_rows
            )
        return RunWriter.create(self.out, self.config.to_dict())

    def _finish(self) -> Summary:
        assert self.position.evaluated is not None
        summary = Summary(
            self.position.step,
            self._seconds(),
            self.position.evaluated,
            {**describe(self.device), "processes": str(self.ranks.count)},
        )
        weights = self.engine.weights()
        if self.ranks.first:
            for kind, tensors in weights.items():
                checkpoints.save_tensors(self.out / _FILES[kind], tensors)
        self._writer.finish(summary)
        if self.ranks.first:
            checkpoints.remove_all(self._checkpoints)
        self.ranks.wait()
        return summary

    def _stop(self, error: DivergedError) -> NoReturn:
        raise explain(error, checkpoints=self._checkpoints, stream=self.stream) from error

    def _record(self, row: Row) -> None:
        self._writer.append(row)
        self._trackers.log(row)
        self._tell(row)

    def _tell(self, event: Event) -> None:
        if self.ranks.first:
            self._listen(event)

    def _started(self) -> Started:
        return Started(
            path=self.out,
            first_step=self.position.step,
            total_steps=self.total_steps,
            steps_per_epoch=self.stream.steps_per_epoch,
            train_images=len(self.data.train),
            test_images=len(self.data.test),
            classes=len(self.data.classes),
            parameters=sum(p.numel() for p in self.engine.bare.parameters()),
            device=str(self.device),
            processes=self.ranks.count,
        )

    def _epochs(self, steps: int) -> float:
        return steps / self.stream.steps_per_epoch

    def _seconds(self) -> float:
        return time.perf_counter() - self._began

    @property
    def _checkpoints(self) -> Path:
        return self.out / "checkpoints"
