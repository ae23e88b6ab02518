"""Watch: a probe in a run that another library drives."""

from __future__ import annotations

from torch import nn

from droptime.dynamics.probe import GradientProbe
from droptime.dynamics.record import Dynamics, Part
from droptime.dynamics.vectors import parameters
from droptime.errors import ConfigError, StateError
from droptime.sites import unwrap


class Watch:
    """Call a probe when a training begins and after each of its steps, and keep what it finds.

    Args:
        probe: None never measures.

    Attributes:
        gradients: what was found, step by step; emptied by a training that begins at step 0.

    Raises:
        ConfigError: the probe is something else.

    >>> import torch
    >>> model = nn.Linear(2, 1)
    >>> data = list(torch.randn(4, 2, 2))
    >>> watch = Watch(GradientProbe(model, lambda m, x: m(x).mean(), data, batches=2, every=2))
    >>> begun = watch.begin(0)
    >>> [watch.step(step) is None for step in (1, 2, 3)]
    [True, False, True]
    >>> [found.step for found in watch.gradients]
    [0, 2]
    """

    def __init__(self, probe: GradientProbe | None) -> None:
        if probe is not None and not isinstance(probe, GradientProbe):
            raise ConfigError(
                f"probe={probe!r}: expected a GradientProbe of the model in training, such as "
                "GradientProbe(model, loss_fn, data, every=100). A trainer that builds callbacks "
                "from a checkpoint cannot build one: let it keep the callback it was given."
            )
        self._probe = probe
        self.gradients: list[Dynamics] = []

    @property
    def name(self) -> str | None:
        """What a saved state says in place of the probe, which it cannot hold."""
        return None if self._probe is None else type(self._probe).__name__

    def check(self, model: nn.Module) -> None:
        """See that the probe measures the model in training.

        Raises:
            StateError: it measures another one.
        """
        if self._probe is None:
            return
        trained = {id(p) for p in unwrap(model).parameters()}
        measured = parameters(unwrap(self._probe.model))
        if not trained.issuperset(map(id, measured.values())):
            raise StateError(
                f"probe= measures a {type(self._probe.model).__name__} that is not the "
                f"{type(model).__name__} in training, nor a part of it: build the probe with the "
                "model that the trainer is given."
            )

    def begin(self, step: int) -> Dynamics | None:
        """Measure before the first step; a training that goes on has measured its step already."""
        if step:
            return None
        self.gradients.clear()
        return self.step(0)

    def step(self, step: int) -> Dynamics | None:
        """Measure if the step is due."""
        found = None if self._probe is None else self._probe.step(step)
        if found is not None:
            self.gradients.append(found)
        return found


def logged(found: Dynamics) -> dict[str, float]:
    """The values of the whole model as a trainer's log takes them: finite numbers by name.

    >>> from droptime.dynamics import Direction, Value
    >>> gdv = Direction(0.4, float("inf"), n=2, halved=True)
    >>> logged(Dynamics(step=0, batches=2, batch_size=1, halved=True,
    ...                 gradient_norm=Value(1.5, 0.1, n=2), variance=gdv))
    {'gradients/gradient_norm': 1.5, 'gradients/gradient_norm_se': 0.1, 'gradients/variance': 0.4}
    """
    values = Part.to_row(found)
    return {f"gradients/{name}": value for name, value in values.items() if value is not None}
