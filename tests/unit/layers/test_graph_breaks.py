"""A float read by a forward that breaks the graph: the rates stay right."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from droptime.layers import hold_float
from tests.compiling import Compiled


class Breaking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dropout = 0.1

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(x, p=self.dropout, training=self.training)
        if torch.rand([]) < 0.5:  # the host must know: no graph holds this
            x = x + 0
        return F.dropout(x, p=self.dropout, training=self.training)


def test_a_graph_break_between_two_dropouts_leaves_their_rate_right() -> None:
    model = nn.Sequential(Breaking())
    rate = hold_float(model[0], "dropout")
    compiled = Compiled(model, backend="eager", fullgraph=False)
    ones = torch.ones(100, 400)
    for p in (0.5, 0.3, 0.1):
        rate.p = p
        kept = (1 - p) ** 2
        deviation = (kept * (1 - kept) / ones.numel()) ** 0.5
        share = (compiled(ones) != 0).float().mean().item()
        assert abs(share - kept) <= 5 * deviation
    model.eval()
    assert torch.equal(compiled(ones), ones)
