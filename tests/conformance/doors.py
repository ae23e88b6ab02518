"""The scenario through every door: plain loop, Accelerate, Lightning, Trainer, ignite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from droptime import Clock, DropScheduler
from tests.conformance.scenario import (
    ACCUMULATE,
    BATCH_SIZE,
    BATCHES,
    CURVES,
    END,
    EPOCHS,
    STEPS_PER_EPOCH,
    Batches,
    Door,
    Model,
    Samples,
    evaluate,
    loader,
    optimizer_of,
)

CLOCK = Clock(total_steps=EPOCHS * STEPS_PER_EPOCH, steps_per_epoch=STEPS_PER_EPOCH)


def plain(model: Model, folder: Path, save: int | None) -> None:
    """A loop by hand: the meaning of the scenario."""
    optimizer = optimizer_of(model)
    drop = DropScheduler(model, **CURVES, clock=CLOCK)
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "drop": drop}
    if save is None:
        for name, state in torch.load(folder / "plain.pt").items():
            parts[name].load_state_dict(state)
    batches = list(loader())
    while drop.last_step < END:
        first = drop.last_step % STEPS_PER_EPOCH * ACCUMULATE
        for batch in batches[first : first + ACCUMULATE]:
            (model(**batch)["loss"] / ACCUMULATE).backward()
        optimizer.step()
        optimizer.zero_grad()
        drop.step()
        if drop.last_step == save:
            states = {name: part.state_dict() for name, part in parts.items()}
            torch.save(states, folder / "plain.pt")
        if drop.last_step % STEPS_PER_EPOCH == 0:
            evaluate(model)
    drop.close()


def accelerate(model: Model, folder: Path, save: int | None) -> None:
    """Accelerate: the scheduler is registered for checkpointing."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=ACCUMULATE)
    drop = DropScheduler(model, **CURVES, clock=CLOCK)
    wrapped, optimizer, batches = accelerator.prepare(model, optimizer_of(model), loader())
    accelerator.register_for_checkpointing(drop)
    if save is None:
        accelerator.load_state(str(folder / "accelerate"))
    while drop.last_step < END:
        epoch = batches
        if (inside := drop.last_step % STEPS_PER_EPOCH) > 0:
            epoch = accelerator.skip_first_batches(batches, inside * ACCUMULATE)
        for batch in epoch:
            with accelerator.accumulate(wrapped):
                accelerator.backward(wrapped(**batch)["loss"])
                optimizer.step()
                optimizer.zero_grad()
                if accelerator.sync_gradients:
                    drop.step()
            if accelerator.sync_gradients and drop.last_step == save:
                accelerator.save_state(str(folder / "accelerate"))
            if drop.last_step == END:
                break
        else:
            evaluate(model)
    drop.close()


def lightning(model: Model, folder: Path, save: int | None) -> None:
    """Lightning: the callback."""
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.callbacks import ModelCheckpoint

    from droptime.adapters.lightning import DropSchedule

    class Module(LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
            loss: Tensor = self.model(**batch)["loss"]
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return optimizer_of(self.model)

        def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
            assert not self.model.training

        def on_validation_end(self) -> None:
            evaluate(self.model)

    class End(Callback):  # type: ignore[misc]
        def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
            trainer.should_stop = trainer.global_step == END

    callbacks = [DropSchedule(**CURVES), End()]
    if save is not None:
        callbacks.append(
            ModelCheckpoint(folder, "lightning", every_n_train_steps=save, save_top_k=-1)
        )
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        accumulate_grad_batches=ACCUMULATE,
        callbacks=callbacks,
        limit_val_batches=1,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=save is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    path = folder / "lightning.ckpt" if save is None else None
    trainer.fit(Module(), Batches(), loader(), ckpt_path=path)


def huggingface(model: Model, folder: Path, save: int | None) -> None:
    """The Hugging Face Trainer: the callback."""
    from torch.optim.lr_scheduler import LambdaLR
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from droptime.adapters.huggingface import DropSchedule

    class InOrder(Trainer):  # type: ignore[misc]
        def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Sampler[int]:
            return torch.utils.data.SequentialSampler(Samples())

    class End(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = state.global_step == END

        def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % STEPS_PER_EPOCH == 0:
                evaluate(model)

    arguments = TrainingArguments(
        output_dir=str(folder / "huggingface"),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH_SIZE,
        gradient_accumulation_steps=ACCUMULATE,
        max_grad_norm=0.0,
        save_strategy="no" if save is None else "steps",
        save_steps=save or 1,
        remove_unused_columns=False,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    optimizer = optimizer_of(model)
    trainer = InOrder(
        model,
        arguments,
        train_dataset=Samples(),
        callbacks=[DropSchedule(**CURVES), End()],
        optimizers=(optimizer, LambdaLR(optimizer, lambda step: 1.0)),
    )
    trainer.train(resume_from_checkpoint=save is None)


def ignite(model: Model, folder: Path, save: int | None) -> None:
    """pytorch-ignite: attached to the engine, saved with the rest."""
    from ignite.engine import Engine, Events
    from ignite.handlers import Checkpoint, DiskSaver

    from droptime.adapters.ignite import attach

    optimizer = optimizer_of(model)
    drop = DropScheduler(model, **CURVES, clock=CLOCK)
    batches = Batches()

    def update(engine: Engine, batch: dict[str, Tensor]) -> None:
        model.train()
        (model(**batch)["loss"] / ACCUMULATE).backward()
        if engine.state.iteration % ACCUMULATE == 0:
            optimizer.step()
            optimizer.zero_grad()

    trainer = Engine(update)
    attach(drop, trainer, accumulate=ACCUMULATE)
    parts = {
        "model": model,
        "optimizer": optimizer,
        "drop": drop,
        "trainer": trainer,
        "data": batches,
    }
    if save is None:
        path = next(folder.glob("ignite*.pt"))
        Checkpoint.load_objects(parts, torch.load(path))
    else:
        saver = DiskSaver(str(folder), create_dir=False, require_empty=False)
        checkpoint = Checkpoint(parts, saver, filename_prefix="ignite", n_saved=None)
        event = Events.ITERATION_COMPLETED(once=save * ACCUMULATE)
        trainer.add_event_handler(event, checkpoint)

    @trainer.on(Events.ITERATION_COMPLETED(once=END * ACCUMULATE))  # type: ignore[untyped-decorator]
    def end() -> None:
        trainer.terminate()

    @trainer.on(Events.EPOCH_COMPLETED)  # type: ignore[untyped-decorator]
    def between() -> None:
        evaluate(model)

    trainer.run(batches, max_epochs=EPOCHS, epoch_length=BATCHES)
    drop.close()


DOORS: dict[str, Door] = {
    "plain": plain,
    "accelerate": accelerate,
    "lightning": lightning,
    "huggingface": huggingface,
    "ignite": ignite,
}
