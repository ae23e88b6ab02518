"""A run from its first step to its last, able to stop after any and go on as if it had not."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from torch import Tensor

from droptime.errors import ConfigError, DivergedError
from droptime.records import DynamicsRow, Row, RunWriter, StepRow, Summary
from droptime.training import checkpoint as checkpoints
from droptime.training.config import TrainConfig
from droptime.training.data import load_data
from droptime.training.devices import make_accelerator
from droptime.training.engine import Engine
from droptime.training.environment import describe
from droptime.training.evaluate import Evaluator
from droptime.training.events import Listener, Saved, Started
from droptime.training.freed_memory import freed_memory_kept
from droptime.training.model import build_model, expected_size
from droptime.training.optim import WarmupCosine
from droptime.training.position import Position, pack, unpack
from droptime.training.probing import dynamics_row, make_probe, probe_due
from droptime.training.seeds import derive, seed_streams
from droptime.training.signals import Interrupted, Interruption
from droptime.training.stream import Batch, TrainStream
from droptime.types import Clock

WEIGHTS, AVERAGED = "model.safetensors", "ema.safetensors"


class Trainer:
    """One run: its data, its engine, its records, and where it stands.

    Args:
        config: what to train.
        out: the run directory, new or to be continued.
        listen: told how the run begins and every row it records.

    Raises:
        DroptimeError: data, model, settings or the run directory cannot be used.
    """

    def __init__(self, config: TrainConfig, out: Path, *, listen: Listener) -> None:
        accelerator = make_accelerator(config)
        data = load_data(config, expected_size=expected_size(config), device=accelerator.device)
        stream = TrainStream(data, config)
        clock = Clock(epochs=config.epochs, steps_per_epoch=stream.steps_per_epoch)
        model = build_model(config, data)
        self.config, self.out, self._listen = config, out, listen
        self.data, self.stream = data, stream
        self.lr = WarmupCosine.of(config, clock)
        self.engine = Engine(model, config=config, clock=clock, accelerator=accelerator)
        self.device = accelerator.device
        self.total_steps = config.epochs * stream.steps_per_epoch
        self.position = Position()
        seed_streams(derive(config.seed, "masks"))
        self._evaluator = Evaluator(
            data=data,
            normalise=stream.augment.normalise,
            batch_size=config.micro_batch,
            precision=accelerator.autocast,
        )
        self._interruption = Interruption()
        self._probe = None
        if config.probe_every is not None:
            self._probe = make_probe(
                self.engine.bare,
                data.train,
                config=config,
                augment=stream.augment,
                precision=accelerator.autocast,
                between=self._interruption.check,
            )
        self._batches: Iterator[Batch] | None = None
        self._saved_at = 0

    def run(self) -> Summary:
        """Train to the end, from the newest whole checkpoint if there is one.

        Raises:
            DivergedError: a loss or a weight is not finite; the last checkpoint is good.
            KeyboardInterrupt: Ctrl-C came; a checkpoint was written first.
        """
        self._resume()
        self._began = time.perf_counter() - self.position.seconds
        with (
            freed_memory_kept(self.device),
            self._interruption as interruption,
            self._open_records() as writer,
        ):
            self._writer = writer
            self._listen(self._started())
            try:
                self._train(interruption)
            except Interrupted:
                self._listen(Saved(self.position.step, self._save()))
            else:
                return self._finish()
        raise KeyboardInterrupt

    def _train(self, interruption: Interruption) -> None:
        while True:
            interruption.check()
            if self._evaluation_due():
                self._evaluate(interruption)
            if self._checkpoint_due():
                self._save()
            self._measure_gradients()
            if self.position.step == self.total_steps:
                return
            self._make_step()

    def _make_step(self) -> None:
        step, lr = self.position.step, self.lr(self.position.step)
        self.position.losses.add(self.engine.update(self._next_batches(), lr=lr))
        if step % self.config.log_every == 0 or step + 1 == self.total_steps:
            self._record(
                StepRow(step, self._epochs(step + 1), self._mean_loss(), lr, self.engine.rates())
            )
        self.engine.advance_rates()
        self.position.step += 1

    def _next_batches(self) -> Iterator[Batch]:
        epoch, place = divmod(self.position.step, self.stream.steps_per_epoch)
        if self._batches is None or place == 0:
            self._batches = self.stream.epoch(epoch, first=place)
        return self._batches

    def _mean_loss(self) -> float:
        try:
            return self.position.losses.drain(last_step=self.position.step)
        except DivergedError as error:
            self._stop(error)

    def _evaluation_due(self) -> bool:
        step, last = self.position.step, self.position.evaluated
        if last is not None and last.step == step - 1:
            return False
        epoch, place = divmod(step, self.stream.steps_per_epoch)
        at_epoch = place == 0 and epoch > 0 and epoch % self.config.eval_every == 0
        return at_epoch or step == self.total_steps

    def _evaluate(self, interruption: Interruption) -> None:
        step = self.position.step
        models = {"raw": self.engine.model}
        if self.engine.ema is not None:
            models["ema"] = self.engine.ema.module
        rows = [
            self._evaluator.row(
                model,
                step=step - 1,
                epoch=self._epochs(step),
                weights=weights,
                between=interruption.check,
            )
            for weights, model in models.items()
        ]
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

    def _checkpoint_due(self) -> bool:
        step = self.position.step
        return step % self.config.checkpoint_every == 0 and step != self._saved_at

    def _save(self) -> Path:
        """Write a checkpoint of this moment, if everything in it is finite."""
        step = self.position.step
        try:
            self.position.losses.check(last_step=step - 1)
        except DivergedError as error:
            self._stop(error)
        if not self.engine.is_finite():
            self._stop(DivergedError(f"A weight is no longer finite after step {step - 1}."))
        self._writer.flush()
        self.position.seconds = self._seconds()
        path = checkpoints.save(self._checkpoints, pack(self.position, self.engine, self.config))
        self._saved_at = step
        return path

    def _resume(self) -> None:
        found, problems = checkpoints.load_newest(self._checkpoints)
        if problems:
            since = f"step {found.step}" if found else "the beginning"
            warnings.warn(f"{' '.join(problems)} Going on from {since}.", stacklevel=2)
        if found is not None:
            self.position = unpack(found, self.engine, self.device)
            self._saved_at = found.step

    def _open_records(self) -> RunWriter:
        if (self.out / "config.json").exists():
            return RunWriter.resume(self.out, step=self.position.step - 1)
        return RunWriter.create(self.out, self.config.to_dict())

    def _finish(self) -> Summary:
        assert self.position.evaluated is not None
        checkpoints.save_tensors(self.out / WEIGHTS, self.engine.bare.state_dict())
        if self.engine.ema is not None:
            checkpoints.save_tensors(self.out / AVERAGED, self.engine.ema.module.state_dict())
        summary = Summary(
            self.position.step, self._seconds(), self.position.evaluated, describe(self.device)
        )
        self._writer.finish(summary)
        checkpoints.remove_all(self._checkpoints)
        return summary

    def _stop(self, error: DivergedError) -> NoReturn:
        saved = checkpoints.steps_saved(self._checkpoints)
        last = f"The last good checkpoint is after {saved[-1]} steps" if saved else "There is none"
        raise DivergedError(
            f"{error} {last} in {self._checkpoints}. A lower lr, a longer warmup or clip_grad=1 "
            "may help."
        ) from error

    def _record(self, row: Row) -> None:
        self._writer.append(row)
        self._listen(row)

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
        )

    def _epochs(self, steps: int) -> float:
        return steps / self.stream.steps_per_epoch

    def _seconds(self) -> float:
        return time.perf_counter() - self._began

    @property
    def _checkpoints(self) -> Path:
        return self.out / "checkpoints"
