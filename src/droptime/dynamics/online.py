"""Directions from gradients that a training step computes anyway: no extra backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from droptime.dynamics.directions import GradientDirections
from droptime.dynamics.few import FewGradients
from droptime.dynamics.layout import Groups, Layout
from droptime.dynamics.ranks import over_ranks
from droptime.dynamics.record import Dynamics, Part
from droptime.dynamics.reduction_hook import ReductionHook, is_ddp
from droptime.dynamics.sketch import WIDTH
from droptime.dynamics.sums import check_powers
from droptime.dynamics.vectors import named_gradients, parameters, squares
from droptime.errors import ConfigError, StatsError
from droptime.sites import unwrap


class OnlineDirections:
    """GDV, norm and noise scale of the micro-batches or ranks of a training step.

    In gradient accumulation the K gradients are those of the micro-batches; under
    ``DistributedDataParallel`` those of the processes before they are averaged, K being their
    number. So K is small and intervals are wide; each step gives its own, to be averaged over
    steps. There is no GDE: no step computes the gradient of the whole data set.

    The gradients the optimizer sees are the same bit for bit (under DDP: as with its default
    communication hook, which this one calls).

    Args:
        model: the model as it is trained: wrapped in DDP, sharded or neither.
        batch_size: examples in one of the K gradients, for the noise scale.
        every: measure at steps divisible by it; at others nothing is done.
        groups: also measure parts of the model; see :class:`GradientDirections`.
        halved: whether directions are ``(1 - cos) / 2`` or ``1 - cos``.
        vectors: False keeps sketches in place of sums.
        sketch: numbers kept of each gradient.

    Raises:
        ConfigError: an argument makes no sense.

    Cost at a measured step: some passes over each gradient, see ``docs/dynamics.md``; under DDP
    also an all-reduce of two float64 vectors (three with groups). Memory: these vectors, and one
    micro-batch's gradient. In gradient accumulation as many gradients as take no more (four in
    float32) are kept as they are instead, which costs a third and makes standard errors exact too;
    once a step has more of them they are summed (and that step holds both).

    >>> import torch
    >>> model = nn.Linear(3, 1)
    >>> online = OnlineDirections(model, batch_size=4, every=10)
    >>> for micro in torch.randn(6, 4, 3):
    ...     with online.micro(step=0):
    ...         model(micro).square().mean().backward()
    >>> found = online.step(0)
    >>> found.batches, 0 < found.variance.value < 1
    (6, True)
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        batch_size: float = 1.0,
        every: int = 1,
        groups: Groups = None,
        halved: bool = True,
        vectors: bool = True,
        sketch: int = WIDTH,
    ) -> None:
        if type(every) is not int or every < 1:
            raise ConfigError(f"every={every!r}: expected a whole number, at least 1.")
        self.every, self.batch_size = every, batch_size
        self._settings: dict[str, Any] = {
            "groups": groups,
            "halved": halved,
            "vectors": vectors,
            "sketch": sketch,
        }
        self._bare = unwrap(model)
        self._named = parameters(self._bare)
        self._empty().begin(self._named)  # refuses bad arguments at once
        self._layout = Layout.of(self._named, groups)
        self._few: FewGradients | None = None
        self._many = not vectors  # whether a step has more than can be kept
        self._found, self._at = self._empty(), 0
        self._hook = ReductionHook(model, self._bare) if is_ddp(model) else None

    @contextmanager
    def micro(self, step: int) -> Iterator[None]:
        """Stand around one ``backward()`` of optimizer step ``step``.

        Raises:
            GradientError, DivergedError: the gradient is zero or not finite. ``.grad`` is complete.
        """
        if step != self._at:  # one that broke off leaves nothing behind
            self._begin(step)
        if step % self.every:
            yield
        elif self._hook:
            with self._hook.listening():
                yield
        else:
            with _apart(self._named):
                yield
                self._take()

    def step(self, step: int) -> Dynamics | None:
        """What step ``step`` gave, None if it was not due. Call before ``zero_grad()``.

        Raises:
            StatsError: fewer than 2 gradients.
        """
        if step % self.every:
            return None
        found = self._taken()
        self._begin(step + 1)
        if self._hook:
            found.begin(self._named).update(self._hook.taken())
            found = over_ranks(found)
        if len(found) < 2:
            raise StatsError(
                f"Step {step} gave {len(found)} gradient: directions need at least 2. Accumulate "
                "over micro-batches, each backward() inside micro(step), or use GradientProbe."
            )
        whole, *parts = (self._part(found, group) for group in (None, *found.groups))
        return Dynamics(
            **vars(whole),
            step=step,
            batches=len(found),
            batch_size=self.batch_size,
            halved=found.halved,
            groups=dict(zip(found.groups, parts, strict=True)),
        )

    def _take(self) -> None:
        """Keep the gradient in ``.grad`` or, once there is no room, take all of them in."""
        named = named_gradients(self._bare)
        if not self._many and self._keep(named):
            return
        if self._few is not None:
            self._found.begin(self._named)
            for index in range(self._few.count):
                self._found.update_pieces(self._few.gradient(index))
            self._few = None
        self._many = True
        self._found.update(named)

    def _keep(self, named: Mapping[str, Tensor | None]) -> bool:
        """Keep a gradient as it is, if there is room."""
        pieces = self._layout.pieces(named)
        if self._few is None:
            like = self._layout.pieces(self._named)
            self._few = FewGradients(self._layout, [p for p in like if p is not None])
        few = self._few
        if few.count == few.room:
            return False
        powers = few.write(pieces)
        if not (powers.isfinite() & (powers > 0)).all():
            check_powers(squares(pieces, self._layout), self._layout, named)
        few.count += 1
        return True

    def _taken(self) -> GradientDirections:
        """What the step's gradients came to."""
        few = self._few
        return self._found.hold(few.rows(), self._layout) if few and few.count else self._found

    def _begin(self, step: int) -> None:
        """Hold nothing of another step."""
        self._at, self._found = step, self._empty()
        if self._few is not None:
            self._few.count = 0

    def _empty(self) -> GradientDirections:
        """One that holds no vector until it takes in a gradient."""
        return GradientDirections(**self._settings)

    def _part(self, found: GradientDirections, group: str | None) -> Part:
        return Part(
            gradient_norm=found.norm(group),
            variance=found.variance(group),
            noise_scale=found.noise_scale_or_none(self.batch_size, group=group),
        )


@contextmanager
def _apart(named: dict[str, Tensor]) -> Iterator[None]:
    """Let ``.grad`` hold one backward's gradient alone; then add it to what was there, as given."""
    before = {name: p.grad for name, p in named.items()}
    for p in named.values():
        p.grad = None
    try:
        yield
    finally:
        for name, p in named.items():
            held = before[name]
            if held is not None:
                if p.grad is not None:
                    held.add_(p.grad)
                p.grad = held
