"""One model for each kind of site that does nothing but drop, and how to read what it dropped.

Every model is fed ones, so that what it keeps has one value, known from the rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm.layers
import torch
import torchvision.ops
from timm.models.efficientvit_msra import ResidualDrop
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class Functional(nn.Module):
    """Functional dropout of a float attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout_prob = 0.5

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements."""
        return F.dropout(x, self.dropout_prob, training=self.training)


class Attention(nn.Module):
    """The weights of ``nn.MultiheadAttention``, 1 on average."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Drop attention weights."""
        weights: Tensor = self.attention(x, x, x, average_attn_weights=False)[1]
        return weights * x.shape[1]


class FusedAttention(nn.Module):
    """The weights of fused attention that is handed the rate of a child; 1 on average."""

    def __init__(self) -> None:
        super().__init__()
        self.attn_drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Drop attention weights: each value is a unit vector, so the output is the weights."""
        units = torch.eye(x.shape[1]).expand(x.shape[0], -1, -1)
        p = self.attn_drop.p if self.training else 0.0
        return F.scaled_dot_product_attention(x, x, units, dropout_p=p) * x.shape[1]


class Recurrent(nn.Module):
    """Two recurrent layers that hand on what they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(16, 16, 2, nonlinearity="relu", bias=False, dropout=0.5)
        with torch.no_grad():
            for layer in range(2):
                getattr(self.rnn, f"weight_ih_l{layer}").copy_(torch.eye(16))
                getattr(self.rnn, f"weight_hh_l{layer}").zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Drop between the layers."""
        y: Tensor = self.rnn(x.relu())[0]
        return y.clamp(min=0)


def _zero(y: Tensor) -> Tensor:
    return y == 0


def _inverted(rate: float, y: Tensor) -> float:
    return 1 / (1 - rate)


def _recounted(rate: float, y: Tensor) -> float:
    return y.numel() / int((y != 0).sum())


def _beside_itself(rate: float, y: Tensor) -> float:
    return 1 + 1 / (1 - rate)


def _self_normal(rate: float, y: Tensor) -> float:
    end: float = -1.0507009873554805 * 1.6732632423543772
    scale: float = ((1 - rate) * (1 + end**2 * rate)) ** -0.5
    return (1 - end * rate) * scale


@dataclass(frozen=True)
class Kind:
    """A model that drops, and how to read its output.

    Attributes:
        build: makes the model.
        argument: the argument or selector of ``DropScheduler`` that drives it.
        attribute: the float that a loop over modules sets.
        shape: of the input, to be filled with ones.
        draws: independent draws in a forward.
        dropped: output -> where it was dropped.
        kept: rate, output -> the value of what was kept.
        fullgraph: whether torch.compile traces all of it.
    """

    build: Callable[[], nn.Module]
    argument: str
    attribute: str
    shape: tuple[int, ...]
    draws: int
    dropped: Callable[[Tensor], Tensor] = _zero
    kept: Callable[[float, Tensor], float] = _inverted
    fullgraph: bool = True

    def drive(self, curve: object) -> dict[str, Any]:
        """The arguments of ``DropScheduler`` that put this kind on a curve."""
        if self.argument in ("dropout", "drop_path"):
            return {self.argument: curve}
        return {"rates": {self.argument: curve}}

    def errors(self, rate: float, y: Tensor) -> tuple[float, float]:
        """How far an output is off.

        Returns:
            The deviation of the dropped fraction in standard deviations (infinite if it drops at
            rate 0) and the largest relative error of what is kept.
        """
        dropped = self.dropped(y)
        off_by = abs(dropped.float().mean().item() - rate)
        spread = (rate * (1 - rate) / self.draws) ** 0.5
        sigmas = off_by / spread if spread else float("inf") if off_by else 0.0
        return sigmas, (y[~dropped] / self.kept(rate, y) - 1).abs().max().item()


KINDS: dict[str, Kind] = {
    "nn.Dropout": Kind(lambda: nn.Sequential(nn.Dropout()), "dropout", "p", (256, 1024), 2**18),
    "nn.Dropout2d": Kind(
        lambda: nn.Sequential(nn.Dropout2d()), "dropout", "p", (256, 256, 2, 2), 2**16
    ),
    "nn.AlphaDropout": Kind(
        lambda: nn.Sequential(nn.AlphaDropout()),
        "dropout",
        "p",
        (256, 1024),
        2**18,
        dropped=lambda y: y < 0,
        kept=_self_normal,
    ),
    "nn.FeatureAlphaDropout": Kind(
        lambda: nn.Sequential(nn.FeatureAlphaDropout()),
        "dropout",
        "p",
        (256, 256, 2, 2),
        2**16,
        dropped=lambda y: y < 0,
        kept=_self_normal,
    ),
    "F.dropout of a float": Kind(
        lambda: nn.Sequential(Functional()), "dropout", "dropout_prob", (256, 1024), 2**18
    ),
    "nn.MultiheadAttention": Kind(Attention, "dropout", "dropout", (64, 32, 16), 2**17),
    "fused attention": Kind(FusedAttention, "dropout", "p", (128, 32, 16), 2**17),
    "timm DropPath": Kind(
        lambda: nn.Sequential(timm.layers.DropPath(0.5)),
        "drop_path",
        "drop_prob",
        (2**16, 2),
        2**16,
    ),
    "torchvision StochasticDepth": Kind(
        lambda: nn.Sequential(torchvision.ops.StochasticDepth(0.5, "row")),
        "drop_path",
        "p",
        (2**16, 2),
        2**16,
    ),
    "timm ResidualDrop": Kind(
        lambda: nn.Sequential(ResidualDrop(nn.Identity(), 0.5)),
        "drop_path",
        "drop",
        (2**16, 1, 1, 2),
        2**16,
        dropped=lambda y: y == 1,
        kept=_beside_itself,
    ),
    "timm DropBlock2d": Kind(
        lambda: nn.Sequential(timm.layers.DropBlock2d(0.5, block_size=1, couple_channels=False)),
        "drop_block",
        "drop_prob",
        (64, 16, 16, 16),
        2**18,
        kept=_recounted,
    ),
    "torchvision DropBlock2d": Kind(
        lambda: nn.Sequential(torchvision.ops.DropBlock2d(0.5, 1)),
        "drop_block",
        "p",
        (64, 16, 16, 16),
        2**18,
        kept=_recounted,
    ),
    "nn.RNN": Kind(Recurrent, "dropout", "dropout", (64, 64, 16), 2**16, fullgraph=False),
}
"""Blocks of the two DropBlock are single elements here, so that draws are independent."""
