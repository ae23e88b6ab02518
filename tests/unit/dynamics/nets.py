"""A small network with everything a probe could disturb, and its data."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, TensorDataset

Batch = list[Tensor]


class Net(nn.Module):
    """Batch norm that learns, batch norm frozen in eval mode, dropout of several kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.frozen_norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.3)
        self.attn = nn.MultiheadAttention(8, 2, dropout=0.2, batch_first=True)
        self.unused = nn.Linear(2, 2)
        self.dropout_rate = 0.1
        self.head = nn.Linear(8, 3)

    def train(self, mode: bool = True) -> Net:
        super().train(mode)
        self.frozen_norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.frozen_norm(self.norm(self.stem(x))).relu())
        x = x + self.attn(x[:, None], x[:, None], x[:, None], need_weights=False)[0][:, 0]
        out: Tensor = self.head(F.dropout(x, p=self.dropout_rate, training=self.training))
        return out


def loss_fn(model: nn.Module, batch: Batch) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


def loader(*, batch: int = 8, examples: int = 60, shuffle: bool = True) -> DataLoader[Batch]:
    random = torch.Generator().manual_seed(5)
    x, y = torch.randn(examples, 6, generator=random), torch.arange(examples) % 3
    own = torch.Generator().manual_seed(6)
    return DataLoader(TensorDataset(x, y), batch, shuffle=shuffle, generator=own)  # type: ignore[arg-type]
