"""The gradients of a run, measured as it goes, which it does not notice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from droptime.dynamics import Dynamics, GradientProbe, Value
from droptime.dynamics.record import Part
from droptime.errors import ConfigError
from droptime.records import DynamicsRow, Estimate
from droptime.training.data import Split
from droptime.training.data.augment import Augment
from droptime.training.data.stream import Batch
from droptime.training.processes.ranks import Ranks
from droptime.training.seeds import derive
from droptime.training.settings.config import TrainConfig

_ALONE = Ranks()


def probe_due(step: int, *, every: int, total: int) -> bool:
    """Whether gradients are measured at the weights that ``step`` starts from.

    They are at multiples of ``every``, at the end, and, since dropout's effect on direction is an
    early one, at every power of two below ``every``.

    >>> [step for step in range(13) if probe_due(step, every=10, total=12)]
    [0, 1, 2, 4, 8, 10, 12]
    """
    early = step < every and step & (step - 1) == 0
    return early or step % every == 0 or step == total


def probe_cost(config: TrainConfig, *, images: int, steps: int) -> tuple[int, int]:
    """How often a run measures its gradients, and the backward passes of one measurement at most.

    A pass is one mini-batch forward and backward. Without a curve each mini-batch is measured once,
    else with dropout and without.

    >>> config = TrainConfig(data="digits", batch_size=64, probe_every=100, probe_batches=12)
    >>> probe_cost(config, images=899, steps=560)
    (14, 27)
    """
    if config.probe_every is None:
        return 0, 0
    moments = sum(
        probe_due(step, every=config.probe_every, total=steps) for step in range(steps + 1)
    )
    times = 1 if config.dropout is None and config.drop_path is None else 2
    reference = config.probe_reference or -(-images // config.micro_batch)
    return moments, times * config.probe_batches + reference


@dataclass(frozen=True)
class Shuffled:
    """Every training image once, un-augmented and un-mixed, in an order drawn for each walk.

    Several processes share one order: each has its part of the batches or, ``cut``, of every batch.
    Cut batches have parts of one size, for which the last images of an order may be left out.
    """

    split: Split
    augment: Augment
    batch_size: int
    ranks: Ranks
    cut: bool = False

    def __len__(self) -> int:
        """How many batches this process has."""
        if self.cut:
            full, rest = divmod(len(self.split), self.batch_size)
            return full + (rest >= self.ranks.count)
        batches = math.ceil(len(self.split) / self.batch_size)
        return len(range(self.ranks.index, batches, self.ranks.count))

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches; the last may be smaller."""
        drawn = torch.randperm(len(self.split)) if self.ranks.first else torch.empty(0)
        batches = torch.split(self.ranks.gather(drawn)[0], self.batch_size)
        index, count = self.ranks.index, self.ranks.count
        if self.cut:
            even = [batch[: len(batch) // count * count] for batch in batches]
            own = [batch[index::count] for batch in even if len(batch)]
        else:
            own = list(batches[index::count])
        for images, labels in self.split.batches(own):
            yield self.augment.normalise(images), labels


def make_probe(
    model: nn.Module,
    split: Split,
    *,
    config: TrainConfig,
    augment: Augment,
    precision: Callable[[], AbstractContextManager[object]] = nullcontext,
    between: Callable[[], None] = lambda: None,
    ranks: Ranks = _ALONE,
) -> GradientProbe:
    """A probe of a run whose model has its initial weights now.

    ``between`` is called before every pass of a process alone, and may raise to stop.

    Mini-batches have the size of a backward pass in one process; several processes share them or,
    where the model is sharded, the images of each, and find the same together. The loss is the
    run's, label smoothing included.

    Raises:
        ConfigError: the training set has fewer mini-batches than are to be measured, or they or
            their images do not divide over the processes.
    """
    _check_enough(len(split), config)
    _check_shares(config, ranks)
    dealt = 1 if config.shard else ranks.count  # among how many processes batches are dealt out

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        if ranks.count == 1:
            between()
        images, labels = batch
        with precision():
            return F.cross_entropy(model(images), labels, label_smoothing=config.smoothing)

    return GradientProbe(
        model,
        loss,
        Shuffled(split, augment, config.micro_batch, ranks, cut=config.shard),
        batches=config.probe_batches // dealt,
        reference=(config.probe_reference or 0) // dealt or True,
        ranks=dealt > 1,
        groups=_groups(config.probe_groups),
        seed=derive(config.seed, "probe"),
    )


def _groups(text: str | None) -> str | list[str] | None:
    """The setting ``probe_groups`` as a probe takes it.

    >>> _groups("layer"), _groups("blocks.*.attn.*, head.*")
    ('layer', ['blocks.*.attn.*', 'head.*'])
    """
    if text is None or text == "layer":
        return text
    return [pattern.strip() for pattern in text.split(",")]


def _check_enough(images: int, config: TrainConfig) -> None:
    whole, rest = divmod(images, config.micro_batch)
    asked = {
        "probe_batches": (config.probe_batches, whole),
        "probe_reference": (config.probe_reference or 0, whole + bool(rest)),
    }
    for name, (wanted, there) in asked.items():
        if wanted > there:
            raise ConfigError(
                f"{name}={wanted}: the {images:,} training images are {there} mini-batches of "
                f"{config.micro_batch}. Make {name} or batch_size smaller, or accumulate larger."
            )


def _check_shares(config: TrainConfig, ranks: Ranks) -> None:
    if config.shard:
        if config.micro_batch % ranks.count:
            raise ConfigError(
                f"Mini-batches of {config.micro_batch} images do not divide over {ranks.count} "
                "processes, in which a sharded model is measured: make batch_size / accumulate "
                f"a multiple of {ranks.count}."
            )
        return
    for name in ("probe_batches", "probe_reference"):
        count = getattr(config, name) or 2 * ranks.count
        if ranks.count > 1 and (count % ranks.count or count < 2 * ranks.count):
            raise ConfigError(
                f"{name}={count} does not divide over {ranks.count} processes, two or more for "
                f"each: make it a multiple of {ranks.count}, at least {2 * ranks.count}."
            )


def dynamics_row(found: Dynamics, epoch: float) -> DynamicsRow:
    """What a probe found, as a row of a run's record."""
    estimates = _estimates(found)
    if found.reference is not None:
        against = found.reference
        estimates["alignment"] = Estimate(against.alignment, against.alignment_se)
    return DynamicsRow(
        step=found.step,
        epoch=epoch,
        batches=found.batches,
        batch_size=found.batch_size,
        halved=found.halved,
        values=estimates,
        reference=None if found.reference is None else found.reference.examples,
        groups={name: _estimates(part) for name, part in found.groups.items()},
    )


def _estimates(part: Part) -> dict[str, Estimate]:
    values = {name: getattr(part, name) for name in Part.__dataclass_fields__}
    return {name: _estimate(value) for name, value in values.items() if value is not None}


def _estimate(value: Value | float) -> Estimate:
    if isinstance(value, Value):
        return Estimate(value.value, value.standard_error)
    return Estimate(value, 0.0)
