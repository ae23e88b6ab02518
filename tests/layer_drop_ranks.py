"""Layer drop on two processes: which layers each rank ran, and what they learned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from droptime import Clock, DropScheduler
from tests.ranks import ACCUMULATE, STEPS

LAYERS = 6


def _encoder(name: str) -> Any:
    """A real encoder of transformers, small."""
    if name == "bart":  # a float of the module
        from transformers.models.bart.modeling_bart import BartConfig, BartEncoder

        sizes = {"d_model": 8, "encoder_attention_heads": 2, "encoder_ffn_dim": 8}
        return BartEncoder(BartConfig(vocab_size=8, encoder_layers=LAYERS, dropout=0.3, **sizes))
    from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2Config, Wav2Vec2Encoder

    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    position = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    return Wav2Vec2Encoder(Wav2Vec2Config(num_hidden_layers=LAYERS, **sizes, **position))


class Net(nn.Module):
    """The encoder, and a record of the layers that ran in each forward."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        encoder = _encoder(name)
        self.encoder = encoder
        self.by_name = "inputs_embeds" if name == "bart" else "hidden_states"
        self.ran: list[list[int]] = []
        for index, layer in enumerate(encoder.layers):
            layer.register_forward_pre_hook(lambda *_, index=index: self.ran[-1].append(index))

    def forward(self, x: Tensor) -> Tensor:
        self.ran.append([])
        out: Tensor = self.encoder(**{self.by_name: x})[0]
        return out


def _drive(net: Net) -> DropScheduler:
    curves: dict[str, Any] = {"layer_drop": "early(0.8, until=8st)"}
    return DropScheduler(net, dropout="standard(0.3)", rates=curves, clock=Clock(total_steps=8))


def _train(net: Net, wrapped: nn.Module, drop: DropScheduler, steps: int) -> None:
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.1)
    for _ in range(steps):
        for _ in range(ACCUMULATE):
            wrapped(torch.randn(2, 5, 8)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        drop.step()


def layer_drop(rank: int, name: str, wrapper: str) -> dict[str, Any]:
    """Train, then go back to step 2 in a new model and run the rest again."""
    report: dict[str, Any] = {}
    for part in ("whole", "resumed"):
        net = Net(name)
        torch.manual_seed(7 if rank == 0 else 100 + rank)  # rank 0's seed is the one agreed on
        drop = _drive(net)
        wrapped: Any = net
        if wrapper == "ddp":
            wrapped = DistributedDataParallel(net, find_unused_parameters=True)
        else:
            for layer in (*net.get_submodule("encoder.layers").children(), net):
                fully_shard(layer)
        if part == "resumed":
            drop.load_state_dict({**drop.state_dict(), "step": 2})
        _train(net, wrapped, drop, STEPS - drop.last_step)
        report[part] = net.ran
        whole = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in net.parameters()]
        report[f"{part} weights"] = [p.detach() for p in whole]
    report["mask"] = nn.functional.dropout(torch.ones(4000)) != 0
    return report
