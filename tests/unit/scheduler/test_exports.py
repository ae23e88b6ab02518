"""torch.export and ONNX export of a driven model in evaluation give the model's own graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn
from torchvision.models import SwinTransformer

from droptime import Clock, DropScheduler

IMAGE = torch.linspace(-1, 1, 3 * 32 * 32).view(1, 3, 32, 32)


def _timm_vit() -> nn.Module:
    model: nn.Module = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, depth=2, embed_dim=16, num_heads=2
    )
    return model


def _torchvision_swin() -> nn.Module:
    model: nn.Module = SwinTransformer([4, 4], 8, [1, 1], [2, 2], [2, 2], num_classes=4)
    return model


MODELS = {"timm ViT": _timm_vit, "torchvision Swin": _torchvision_swin}


def _pair(name: str) -> tuple[nn.Module, nn.Module]:
    """The model, and a twin with the same weights that is driven."""
    model, twin = MODELS[name](), MODELS[name]()
    twin.load_state_dict(model.state_dict())
    clock = Clock(total_steps=4)
    DropScheduler(twin, dropout="early(0.5, until=4st)", drop_path="standard(0.3)", clock=clock)
    return model.eval(), twin.eval()


def _operators(program: torch.export.ExportedProgram) -> list[str]:
    """The operators of a graph, but for dropout that is off: ours leaves no trace of itself."""
    called = [node for node in program.graph.nodes if node.op == "call_function"]
    for node in called:
        if "dropout" in str(node.target):
            assert node.args[1:] == (0.0, False)
    return [str(node.target) for node in called if "dropout" not in str(node.target)]


@pytest.mark.parametrize("name", MODELS)
def test_torch_export(name: str) -> None:
    model, twin = _pair(name)
    exported, driven = (torch.export.export(each, (IMAGE,)) for each in (model, twin))
    assert _operators(driven) == _operators(exported)
    assert torch.equal(driven.module()(IMAGE), model(IMAGE))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:onnxscript|torch.onnx|onnx_ir")
@pytest.mark.parametrize("name", MODELS)
def test_onnx_export(name: str, tmp_path: Path) -> None:
    model, twin = _pair(name)
    operators = []
    for each in (model, twin):
        torch.onnx.export(each, (IMAGE,), tmp_path / "model.onnx", dynamo=True, verbose=False)
        operators.append([node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node])
    assert operators[1] == operators[0]
    assert not {"Dropout", "Bernoulli", "RandomUniformLike"} & set(operators[1])
    session = ReferenceEvaluator(str(tmp_path / "model.onnx"))
    found: Any = session.run(None, {session.input_names[0]: IMAGE.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found[0], model(IMAGE).numpy(), rtol=1e-4, atol=1e-5)
