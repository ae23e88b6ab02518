"""A gradient that others are measured against."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from droptime.dynamics.layout import Layout
from droptime.dynamics.values import Value
from droptime.dynamics.vectors import Gradients, named_gradients, parameters, squares, zeros
from droptime.errors import DivergedError, GradientError


@dataclass(frozen=True)
class ReferenceSummary:
    """What is worth keeping of a reference.

    Attributes:
        examples: how many examples it is the mean over.
        norm: its norm.
        loss: mean loss over them.
        alignment: cosine to the whole data set's gradient: exactly 1 for an exact pass.
        alignment_se: its standard error.
    """

    examples: int
    norm: float
    loss: float
    alignment: float
    alignment_se: float


@dataclass(frozen=True)
class Reference:
    """A gradient that others are measured against, usually that of the whole data set.

    Attributes:
        layout: which parameters.
        pieces: the gradient in float64, one flat tensor for each parameter.
        examples: how many examples it is the mean over; 0 if that is not known.
        loss: mean loss over them; nan if that is not known.
        alignment: cosine between this gradient and that of the whole data set. Exactly 1 for an
            exact pass; estimated for a sample, where the error to this gradient is larger than to
            the whole: divide cosines by it. The estimate leans low where it is far from 1, and is 0
            where the sample is too small to tell.
    """

    layout: Layout
    pieces: tuple[Tensor, ...]
    examples: int = 0
    loss: float = math.nan
    alignment: Value = Value(1.0, 0.0, 0)  # noqa: RUF009 - frozen

    @property
    def norm(self) -> float:
        """Euclidean norm of the whole gradient."""
        return math.sqrt(float(squares(self.pieces, self.layout).sum()))

    @property
    def summary(self) -> ReferenceSummary:
        """The reference without the vector."""
        return ReferenceSummary(
            examples=self.examples,
            norm=self.norm,
            loss=self.loss,
            alignment=self.alignment.value,
            alignment_se=self.alignment.standard_error,
        )

    @classmethod
    def of(cls, gradients: Gradients) -> Reference:
        """Make a reference of a module's ``.grad`` or of a mapping from names to gradients.

        Raises:
            GradientError: it is zero, or no gradient at all.
            DivergedError: it is not finite.
        """
        named = named_gradients(gradients)
        shapes = tensors_of(gradients, named)
        layout = Layout.of(shapes)
        pieces = zeros(layout, list(shapes.values()))
        for into, piece in zip(pieces, layout.pieces(named), strict=True):
            if piece is not None:
                into.copy_(piece)
        return cls(layout, tuple(pieces)).checked()

    def checked(self) -> Reference:
        """Itself, if it has a direction."""
        if not math.isfinite(self.norm):
            raise DivergedError("The reference gradient is not finite: look at the loss first.")
        if self.norm == 0:
            raise GradientError(
                "The reference gradient is zero: it has no direction to compare to."
            )
        return self


def tensors_of(source: Gradients, named: dict[str, Tensor | None]) -> dict[str, Tensor]:
    """A tensor of each parameter's shape: the parameters of a module, or the gradients given.

    Raises:
        GradientError: a gradient of a mapping is None, which tells no shape.
    """
    if isinstance(source, torch.nn.Module):
        return parameters(source)
    found = {}
    for name, gradient in named.items():
        if gradient is None:
            raise GradientError(
                f"Gradient {name!r} is None in the first update: give zeros of the parameter's "
                "shape, leave the parameter out, or give the module itself."
            )
        found[name] = gradient
    return found
