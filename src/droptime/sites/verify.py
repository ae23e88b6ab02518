"""Proof by effect: run the model and see whether each site acts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from droptime.errors import SiteError
from droptime.sites.find import Located, locate, unwrap
from droptime.sites.grips import Grip
from droptime.sites.proof import Proof, Report
from droptime.sites.undisturbed import copied, eager, seed, tensors, undisturbed

RAISED = (0.5, 0.9, 0.9)
"""Rates tried in turn at a site, each with a seed of its own, until one has an effect: a layer
that is dropped as a whole may well be kept once."""

_ROUNDING = 1e-3
"""Relative difference between two equal runs that kernels of undefined order may cause."""


def verify(model: nn.Module, example: object) -> Report:
    """Prove by running the model that each of its sites acts.

    With every rate at 0, two runs in training mode must be equal. Then each site alone is raised: a
    site acts if the output or a parameter's gradient changes. Where neither does, the site's own
    module is run by itself, which tells a site that does nothing (``dead``) from one that drops but
    is multiplied by zero (``hidden``: LayerScale at 0 in front of a zero-initialised head).
    Afterwards the model (classes, rates, buffers, ``.grad``, training flags) and all random streams
    are bit-identical, also if the model raises.

    Args:
        model: any module; wrappers are looked through and compiled code is run in eager.
        example: one batch: a tensor, a tuple of arguments or a dict of keyword arguments. Left
            unchanged. Two samples are enough.

    Returns:
        One proof for each site; ``print`` it for a table.

    Raises:
        SiteError: the model's output holds no floating-point tensor.

    Cost: ``2 + sites`` forward and backward passes; a few more for a site without effect. Memory:
    one pass, and a copy of the buffers.

    >>> from torch import nn
    >>> class Block(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.linear, self.drop = nn.Linear(4, 4), nn.Dropout(0.1)
    ...         self.forgotten = nn.Dropout(0.1)
    ...     def forward(self, x):
    ...         return self.drop(self.linear(x))
    >>> print(verify(Block(), torch.randn(2, 4)))
    path       kind     attribute  sites  verdict  output   gradients  why
    drop       element  p              1  acts     changed  changed
    forgotten  element  p              1  dead     same     same       its module is never called
    """
    return prove(model, example, locate(model))


def prove(model: nn.Module, example: object, places: Iterable[Located]) -> Report:
    """Prove some sites of a model; see :func:`verify`."""
    model, places = unwrap(model), list(places)
    wanted = [place for place in places if place.site.state in ("open", "closed")]
    with undisturbed(model), eager(model), _taken(wanted) as grips:
        probe = _Probe(lambda: _call(model, copied(example)), model)
        noise = probe.noise()
        proofs = {
            id(place): _prove(place, grip, probe, noise)
            for place, grip in zip(wanted, grips, strict=True)
        }
    rest = {"dead": "dead", "sealed": "sealed", "unknown": "unproven"}
    return Report(
        tuple(
            proofs.get(id(place)) or Proof(place.site, rest[place.site.state], why=place.site.note)  # type: ignore[arg-type]
            for place in places
        ),
        noise is not None,
    )


@dataclass(frozen=True)
class _Seen:
    """What one run gave: digests of its outputs and of the parameters' gradients."""

    output: Tensor
    gradient: Tensor

    def far(self, other: _Seen) -> tuple[float, float]:
        """Relative distances of outputs and gradients."""
        return _distance(self.output, other.output), _distance(self.gradient, other.gradient)


class _Probe:
    """Runs something that returns tensors, always the same but for rates and seed."""

    def __init__(self, run: Callable[[], object], module: nn.Module) -> None:
        self.run = run
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.base: _Seen | None = None

    def see(self, number: int) -> _Seen:
        seed(number)
        outputs = tensors(self.run())
        if not outputs:
            raise SiteError(
                "The model's output holds no floating-point tensor, so no effect can be seen: "
                "give an example with which it returns one, with targets if it needs them."
            )
        return _Seen(_digest(outputs), _digest(_gradients(outputs, self.parameters)))

    def noise(self) -> tuple[float, float] | None:
        """Differences between two runs at rate 0; None if the module is random by itself."""
        self.base = self.see(1)
        output, gradient = self.base.far(self.see(2))
        return None if max(output, gradient) > _ROUNDING else (output, gradient)

    def effect(self, grip: Grip, noise: tuple[float, float]) -> tuple[float, float]:
        """Changes of output and gradients while a site is raised, 0 where noise explains them."""
        assert self.base is not None
        try:
            for number, rate in enumerate(RAISED, start=3):
                grip.write(rate)
                far = self.base.far(self.see(number))
                output, gradient = (
                    change if change > 100 * floor else 0.0
                    for change, floor in zip(far, noise, strict=True)
                )
                if output or gradient:
                    break
        finally:
            grip.write(0.0)
        return output, gradient


def _prove(place: Located, grip: Grip, probe: _Probe, noise: tuple[float, float] | None) -> Proof:
    if noise is not None:
        output, gradient = probe.effect(grip, noise)
        if output or gradient:
            return Proof(place.site, "acts", output, gradient)
    return _prove_alone(place, grip, probe, random=noise is None)


def _prove_alone(place: Located, grip: Grip, probe: _Probe, *, random: bool) -> Proof:
    """Judge a site by its own module, run by itself on what the model hands to it."""
    call = _first_call(place.user, grip, probe)
    if call is None:
        return Proof(place.site, "dead", why="its module is never called")
    alone = _Probe(lambda: place.user(*copied(call.args), **copied(call.kwargs)), place.user)
    try:
        noise = alone.noise()
        if noise is None:
            return Proof(place.site, "unproven", why="its module is random by itself")
        output, gradient = alone.effect(grip, noise)
    except Exception as error:  # foreign code, called twice with what it was given once
        why = f"its module does not run by itself: {type(error).__name__}"
        return Proof(place.site, "unproven", why=why)
    if not (output or gradient):
        return Proof(place.site, "dead", why="a raised rate changes nothing")
    if not call.used:
        return Proof(place.site, "dead", why="what it drops is not used")
    if random:
        return Proof(place.site, "acts", output, gradient)
    return Proof(place.site, "hidden", why="it drops, then something multiplies by zero, or nearly")


@dataclass
class _Call:
    """The first call of a module in a run, and whether its output reaches the model's."""

    args: Any
    kwargs: Any
    output: list[Tensor]
    used: bool = False


def _first_call(module: nn.Module, grip: Grip, probe: _Probe) -> _Call | None:
    calls: list[_Call] = []
    given: list[tuple[Any, Any]] = []

    def before(_: nn.Module, args: Any, kwargs: Any) -> None:  # noqa: ANN401 - the module's own
        given.append(copied((args, kwargs)))

    def after(_: nn.Module, args: Any, output: Any) -> Any:  # noqa: ANN401
        if calls:
            return None
        marked = _marked(output)
        calls.append(_Call(*given[0], tensors(marked)))
        return marked

    handles = [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after),
    ]
    grip.write(RAISED[0])
    try:
        seed(3)
        outputs = tensors(probe.run())
    finally:
        grip.write(0.0)
        for handle in handles:
            handle.remove()
    if not calls:
        return None
    first = calls[0]
    first.used = any(g is not None for g in _raw_gradients(outputs, first.output))
    return first


def _marked(output: Any) -> Any:  # noqa: ANN401 - any nest
    """The nest with each tensor known to autograd, so that its use can be traced."""
    if isinstance(output, Tensor) and output.is_floating_point():
        return output if output.requires_grad else output.detach().requires_grad_()
    if type(output) in (list, tuple):
        return type(output)(_marked(item) for item in output)
    return output


def _call(model: nn.Module, example: Any) -> object:  # noqa: ANN401 - the user's batch
    if isinstance(example, Mapping):
        return model(**example)
    return model(*example) if isinstance(example, tuple) else model(example)


@contextmanager
def _taken(places: list[Located]) -> Iterator[list[Grip]]:
    """Grips of the sites, all at rate 0."""
    grips: list[Grip] = []
    try:
        for place in places:
            assert place.take is not None
            grips.append(place.take())
            grips[-1].write(0.0)
        yield grips
    finally:
        for grip in reversed(grips):
            grip.release()


def _raw_gradients(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    """Gradients of one weighted sum of all outputs."""
    live = [output for output in outputs if output.requires_grad]
    known = [tensor for tensor in inputs if tensor.requires_grad]
    if not (live and known):
        return ()
    weights = [torch.cos(torch.arange(t.numel(), device=t.device)).to(t.dtype) for t in live]
    weights = [weight.view(t.shape) for weight, t in zip(weights, live, strict=True)]
    return torch.autograd.grad(live, known, weights, allow_unused=True)


def _gradients(outputs: list[Tensor], parameters: Sequence[Tensor]) -> list[Tensor]:
    found = _raw_gradients(outputs, parameters)
    return [torch.zeros(()) if gradient is None else gradient for gradient in found]


_WIDTH = 4093


def _digest(values: list[Tensor]) -> Tensor:
    """Sums of every 4093rd element of each tensor, in float64: ``[numbers]``.

    Big enough to tell any two runs apart, small enough to keep for a model of any size.
    """
    parts = []
    for value in values:
        flat = torch.view_as_real(value) if value.is_complex() else value
        flat = flat.detach().flatten()
        whole = flat.numel() // _WIDTH * _WIDTH
        parts += [flat[:whole].view(-1, _WIDTH).sum(0, dtype=torch.float64), flat[whole:].double()]
    total = torch.cat([part.cpu() for part in parts]) if parts else torch.zeros(0)
    return torch.nan_to_num(total.double())


def _distance(first: Tensor, second: Tensor) -> float:
    """Relative distance; 1 if the shapes differ, 0 only if all bits agree."""
    if first.shape != second.shape:
        return 1.0
    if torch.equal(first, second):
        return 0.0
    return float((first - second).norm() / max(first.norm(), second.norm()))
