"""Your own kind of dropout: one rule, and plan, curves and state work for it.

Run: python examples/own_site.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

import droptime as dt
from droptime.sites.grips import PlainFloat
from droptime.sites.registry import Found, rule


class TokenMask(nn.Module):
    """Zero whole tokens; the rate is an attribute of its own, under a name nobody knows."""

    def __init__(self, share: float = 0.0) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Mask tokens of ``[batch, tokens, dim]``."""
        if not self.training:
            return x
        return x * (torch.rand(*x.shape[:2], 1) >= self.share)


@rule
def token_masks(module: nn.Module, path: str) -> Iterator[Found]:
    """Say where the rate is, what kind it is and how to write it."""
    if isinstance(module, TokenMask):
        grip = partial(PlainFloat, module, "share")
        yield Found(module, "share", "token", module.share, grip)


def main(steps: int = 8) -> None:
    """Mask more and more tokens."""
    model = nn.Sequential(nn.Linear(8, 8), TokenMask(), nn.Linear(8, 1))
    late = dt.late(0.5, since="50%", shape="linear")
    drop = dt.DropScheduler(model, rates={"token": late}, clock=dt.Clock(total_steps=steps))
    print(drop.plan)
    for step in range(steps):
        kept = (model[:2](torch.ones(64, 64, 8)) != 0).any(-1).float().mean().item()
        print(f"step {step}: rate {drop.get_last_rates()['token']:.2f}, masked {1 - kept:.2f}")
        drop.step()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=8)
    main(**vars(parser.parse_args()))
