"""Fine-tuning a detector of torchvision: stochastic depth in its backbone, dropout in its head.

Run: python examples/detection.py
"""

from __future__ import annotations

import argparse

import torch
from torch import nn
from torchvision.models import convnext_tiny
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

import droptime as dt


def detector() -> FasterRCNN:
    """Faster R-CNN on the first stages of a ConvNeXt; load weights of your own here."""
    backbone = convnext_tiny(stochastic_depth_prob=0.1).features[:4]
    backbone.out_channels = 192
    return FasterRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(sizes=((16, 32),), aspect_ratios=((1.0,),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=4, sampling_ratio=1),
        box_head=nn.Sequential(nn.Flatten(), nn.Linear(3072, 64), nn.ReLU(), nn.Dropout(0.0)),
        box_predictor=FastRCNNPredictor(64, 2),
        min_size=64,
        max_size=64,
    )


def main(steps: int = 20) -> None:
    """Find a bright square."""
    torch.manual_seed(0)
    model = detector().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    clock, rates = dt.Clock(total_steps=steps), {"*box_head*": "standard(0.1)"}
    drop = dt.DropScheduler(model, drop_path="early(0.2, until=50%)", rates=rates, clock=clock)
    print(drop.plan)
    for step in range(steps):
        image, (left, top) = torch.rand(3, 64, 64) / 2, torch.randint(0, 40, (2,)).tolist()
        image[:, top : top + 20, left : left + 20] = 1
        box = torch.tensor([[left, top, left + 20.0, top + 20.0]])
        losses = model([image], [{"boxes": box, "labels": torch.tensor([1])}])
        optimizer.zero_grad()
        (loss := sum(losses.values())).backward()
        optimizer.step()
        print(f"step {step}: {drop.get_last_rates()}, loss {loss.item():.3f}")
        drop.step()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    main(**vars(parser.parse_args()))
