"""The plan: the table people read, and which curve gets which site."""

from __future__ import annotations

import timm
import torch
from torch import nn

from droptime import plan

VIT = """\
path                         kind       attribute  rate  sites  state   driven by  why
pos_drop                     element    p             0      1  open    dropout
patch_drop                   patch      drop_prob     0      1  sealed  -          a placeholder: build the model with patch_drop_rate above 0
blocks.{0-2}.attn.attn_drop  attention  p             0      3  open    dropout
blocks.{0-2}.attn.proj_drop  element    p             0      3  open    dropout
blocks.0.drop_path1          drop_path  drop_prob     0      1  closed  drop_path  rate 0 at this depth, always
blocks.{0-2}.mlp.drop1       element    p             0      3  open    dropout
blocks.{0-2}.mlp.drop2       element    p             0      3  open    dropout
blocks.0.drop_path2          drop_path  drop_prob     0      1  closed  drop_path  rate 0 at this depth, always
blocks.{1-2}.drop_path1      drop_path  drop_prob     0      2  closed  drop_path  to be opened
blocks.{1-2}.drop_path2      drop_path  drop_prob     0      2  closed  drop_path  to be opened
head_drop                    head       p             0      1  open    -          the classifier head; for rates={'head': ...}
stochastic depth laid: d * l/2 over 3 blocks"""  # noqa: E501


def test_the_table_of_a_vit() -> None:
    with torch.device("meta"):
        model = timm.create_model("vit_tiny_patch16_224", depth=3)
    assert str(plan(model)) == VIT


def test_a_model_without_dropout_says_so() -> None:
    assert str(plan(nn.Linear(2, 2))) == "No dropout of any kind in this model."


def test_selectors_go_before_the_arguments() -> None:
    with torch.device("meta"):
        model = timm.create_model("vit_tiny_patch16_224", depth=3)
    rows = plan(model, drop_path=False, rates=["attention"]).rows
    drivers = {row.site.path: row.driver for row in rows}
    assert drivers["blocks.1.attn.attn_drop"] == "attention"
    assert drivers["blocks.1.attn.proj_drop"] == "dropout"
    assert drivers["blocks.1.drop_path1"] is None


def test_a_ramp_is_one_rate_for_both_branches_of_a_block() -> None:
    with torch.device("meta"):
        model = timm.create_model("vit_tiny_patch16_224", depth=5)
    factors = {row.site.path: row.factor for row in plan(model).driven("drop_path")}
    for block in range(5):
        for branch in ("drop_path1", "drop_path2"):
            assert factors[f"blocks.{block}.{branch}"] == block / 4
