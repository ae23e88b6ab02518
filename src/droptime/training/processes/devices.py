"""Where and in what precision a run computes: one Accelerator, made for the run."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DistributedDataParallelKwargs, GradientAccumulationPlugin

from droptime.errors import ConfigError
from droptime.training.settings.config import TrainConfig
from droptime.training.trackers import tracker_names

_OTHERS = ("FSDP", "DEEPSPEED", "MEGATRON_LM")


def make_accelerator(config: TrainConfig, *, logs: Path | None = None) -> Accelerator:
    """Make the Accelerator of a run; one process may make several, one after the other.

    It finds the processes of torchrun and accelerate launch by their variables.

    Args:
        config: of the run.
        logs: the run directory, where trackers that write files do.

    Raises:
        MissingExtraError: the library of a tracker is not installed.
        ConfigError: the precision is not possible on the device, there is nothing to shard over,
            or the launcher started fewer processes than it was asked for, or was set up for
            another way of sharding.
    """
    if logs is not None:
        tracker_names(config)
    try:
        accelerator = _accelerator(config, logs)
    except ValueError as error:
        if "already been initialized" not in str(error):
            raise ConfigError(
                f"Accelerate cannot start with mixed_precision={config.mixed_precision!r} and "
                f"device={config.device!r}: {error}"
            ) from error
        # An earlier run of this process had another precision or device, which Accelerate keeps.
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        return make_accelerator(config, logs=logs)
    if accelerator.distributed_type.value in _OTHERS:
        raise ConfigError(
            f"The launcher was set up for {accelerator.distributed_type.value}, and a run shards "
            "its model by itself: launch plain processes and set shard=True."
        )
    if accelerator.num_processes == 1 and _several_asked():
        raise ConfigError(
            "The launcher was asked for several processes, and this is a single one: on a CPU "
            "accelerate launch starts several with --multi_gpu only, and torchrun always does. "
            "(If one is meant: unset MASTER_ADDR and WORLD_SIZE.)"
        )
    if config.shard and accelerator.num_processes == 1:
        raise ConfigError(
            "shard=True divides a model over processes, and there is one: start them with "
            "torchrun or accelerate launch, or leave shard out."
        )
    if config.mixed_precision != "no" and not accelerator.native_amp:
        raise ConfigError(
            f"mixed_precision={config.mixed_precision!r} does nothing on {accelerator.device}: "
            'choose "bf16" or "no", or a GPU.'
        )
    return accelerator


def _several_asked() -> bool:
    """Whether the launcher's variables are those of several processes.

    Accelerate's launcher for a CPU says where they would meet, and starts one without a number.
    """
    world, told = os.environ.get("WORLD_SIZE"), os.environ.keys()
    meets = {"ACCELERATE_MIXED_PRECISION", "MASTER_ADDR"} <= told
    return meets if world is None else int(world) > 1


def _usable_gpu() -> bool:
    """Whether there is a GPU; Apple's, which lack float64, are not used."""
    found = torch.accelerator.current_accelerator()
    return torch.accelerator.is_available() and found is not None and found.type != "mps"


def _accelerator(config: TrainConfig, logs: Path | None) -> Accelerator:
    accumulation = GradientAccumulationPlugin(
        num_steps=config.accumulate, sync_with_dataloader=False
    )
    return Accelerator(
        mixed_precision=config.mixed_precision,
        cpu=config.device == "cpu" or not _usable_gpu(),
        dynamo_backend="inductor" if config.compile else "no",
        gradient_accumulation_plugin=accumulation,
        project_dir=logs,
        kwargs_handlers=[
            DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
        ],
    )
