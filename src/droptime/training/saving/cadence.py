"""When a checkpoint is due: every so many steps, and every so many minutes."""

from __future__ import annotations

import time

from droptime.training.settings.config import TrainConfig


class Cadence:
    """Counts from the last checkpoint, or from where the run began or went on.

    Args:
        config: ``checkpoint_every`` steps and, if given, ``checkpoint_minutes``.
        step: where the run begins.
    """

    def __init__(self, config: TrainConfig, step: int) -> None:
        self._every = config.checkpoint_every
        self._seconds = (
            None if config.checkpoint_minutes is None else 60 * config.checkpoint_minutes
        )
        self.saved(step)

    def saved(self, step: int) -> None:
        """Note a checkpoint after so many steps."""
        self._step, self._time = step, time.monotonic()

    def due(self, step: int) -> bool:
        """Return whether to save after so many steps."""
        if step == self._step:
            return False
        late = self._seconds is not None and time.monotonic() - self._time >= self._seconds
        return late or step % self._every == 0
