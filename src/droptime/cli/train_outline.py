"""How ``droptime train --dry-run`` looks: what the run would be."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from droptime.cli.rates import rate_table
from droptime.schedules import parse
from droptime.training import TrainConfig
from droptime.training.measuring.probing import probe_cost
from droptime.training.outline import Memory, Outline, outline


def show_outline(config: TrainConfig, console: Console) -> None:
    """Print data, steps, parameters, sites, rates over time and an estimate of memory."""
    run = outline(config)
    lines = [
        *_data(config, run),
        *_steps(config, run),
        *_gradients(config, run),
        *_memory(config, run.memory),
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    console.print()
    console.print(Text(str(run.sites)), soft_wrap=True)
    for name in ("dropout", "drop_path"):
        text = getattr(config, name)
        if text is not None:
            console.print(Text(f"\n{name}: {text}", style="bold"), soft_wrap=True)
            console.print(rate_table(parse(text), run.clock))
    if config.dropout is None and config.drop_path is None:
        console.print("\nNo curve is given: every rate stays as the model has it.")


def _data(config: TrainConfig, run: Outline) -> list[str]:
    shape = f"{run.size} x {run.size} x {run.channels}"
    return [
        f"data        {config.data}: {run.train_images:,} training and {run.test_images:,} test "
        f"images of {shape} in {run.classes} classes",
        f"model       {config.model}: {run.parameters:,} parameters, {run.undecayed:,} of them not "
        "decayed",
    ]


def _steps(config: TrainConfig, run: Outline) -> list[str]:
    clock, lr = run.clock, run.lr
    assert clock.total_steps is not None
    passes = f", {config.accumulate} backward passes each" if config.accumulate > 1 else ""
    last = clock.total_steps - 1
    return [
        f"steps       {clock.total_steps:,}: {clock.epochs} epochs of {clock.steps_per_epoch:,}, "
        f"{config.batch_size:,} images a step{passes}",
        f"lr          {lr(0):g} at the first step, {lr.peak:g} from step {lr.warmup:,}, "
        f"{lr(last):.3g} at the last",
    ]


def _gradients(config: TrainConfig, run: Outline) -> list[str]:
    steps = run.clock.total_steps
    assert steps is not None
    moments, passes = probe_cost(config, images=run.train_images, steps=steps)
    if not moments:
        return []
    return [
        f"gradients   measured {moments:,} times: up to {passes:,} backward passes each, "
        f"{moments * passes:,} beside the {steps * config.accumulate:,} of training"
    ]


def _memory(config: TrainConfig, memory: Memory) -> list[str]:
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "AdamW": memory.moments,
        "average": memory.average,
        "images": memory.images,
        f"backward of {config.micro_batch} images": memory.saved,
    }
    listed = ", ".join(f"{name} {_size(size)}" for name, size in parts.items() if size)
    return [
        f"memory      about {_size(memory.total)} on the device: {listed}",
        "            (counted, and measured on the CPU in small; without temporary buffers and "
        "the allocator's reserve)",
    ]


def _size(number: int) -> str:
    return f"{number / 2**30:.2f} GiB" if number >= 2**29 else f"{number / 2**20:.1f} MiB"
