"""Where and in what precision a run computes: one Accelerator, made for the run."""

from __future__ import annotations

from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import GradientAccumulationPlugin

from droptime.errors import ConfigError
from droptime.training.config import TrainConfig


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Make the Accelerator of a run; one process may make several, one after the other.

    Raises:
        ConfigError: the precision is not possible on the device, or there are several processes.
    """
    try:
        accelerator = _accelerator(config)
    except ValueError as error:
        if "already been initialized" not in str(error):
            raise ConfigError(f"mixed_precision={config.mixed_precision!r}: {error}") from error
        # An earlier run of this process had another precision or device, which Accelerate keeps.
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        return make_accelerator(config)
    if accelerator.num_processes > 1:
        raise ConfigError(
            f"Started as {accelerator.num_processes} processes: a run trains in one process, "
            "start it without a distributed launcher."
        )
    if config.mixed_precision != "no" and not accelerator.native_amp:
        raise ConfigError(
            f"mixed_precision={config.mixed_precision!r} does nothing on {accelerator.device}: "
            'choose "bf16" or "no", or a GPU.'
        )
    return accelerator


def _accelerator(config: TrainConfig) -> Accelerator:
    accumulation = GradientAccumulationPlugin(
        num_steps=config.accumulate, sync_with_dataloader=False
    )
    return Accelerator(
        mixed_precision=config.mixed_precision,
        cpu=config.device == "cpu",
        dynamo_backend="inductor" if config.compile else "no",
        gradient_accumulation_plugin=accumulation,
    )
