"""Proof by effect: what acts, what is hidden, what is dead; and nothing is left disturbed."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from droptime import DropScheduler, find_sites, standard, verify
from droptime.errors import SiteError

X = torch.linspace(-1, 1, 12).view(3, 4)


def _verdicts(model: nn.Module, example: object = X) -> dict[str, str]:
    return {proof.site.name: proof.verdict for proof in verify(model, example).proofs}


class Net(nn.Module):
    """A linear layer, then what ``forward`` does with the modules given."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **modules: nn.Module) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.forward_ = forward
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Any:
        return self.forward_(self, self.linear(x))


def test_a_site_that_drops_acts_on_output_and_gradients() -> None:
    report = verify(Net(lambda net, x: net.drop(x), drop=nn.Dropout(0.0)), X)
    (proof,) = report.proofs
    assert proof.verdict == "acts"
    assert proof.output > 0.1
    assert proof.gradient > 0.1
    assert report.deterministic
    assert report.dead == ()


DEAD: dict[str, tuple[nn.Module, str]] = {
    "never called": (Net(lambda net, x: x, drop=nn.Dropout()), "never called"),
    "called, its output thrown away": (
        Net(lambda net, x: (net.drop(x), x)[1], drop=nn.Dropout()),
        "is not used",
    ),
    "called on the wrong thing": (
        Net(lambda net, x: x + net.drop(torch.zeros(3, 4)), drop=nn.Dropout()),
        "changes nothing",
    ),
    "a placeholder beside the branch": (
        Net(lambda net, x: x, drop_path=nn.Identity()),
        "never called",
    ),
    "in eval mode whatever the model is told": (
        Net(lambda net, x: F.dropout(x, net.drop.p, training=False), drop=nn.Dropout()),
        "never called",
    ),
}


@pytest.mark.parametrize("name", DEAD)
def test_a_site_that_does_nothing_is_dead(name: str) -> None:
    model, why = DEAD[name]
    report = verify(model, X)
    (proof,) = report.proofs
    assert proof.verdict == "dead"
    assert why in proof.why
    assert report.dead == (proof.site,)


def _scaled(scale: float, head: float) -> nn.Module:
    """A residual branch behind LayerScale, then a head."""
    model = Net(lambda net, x: net.out(x + net.drop_path(x) * net.scale), drop_path=nn.Identity())
    model.scale = nn.Parameter(torch.full((4,), float(scale)))
    model.out = nn.Linear(4, 2, bias=False)
    if head == 0:
        nn.init.zeros_(model.out.weight)
    return model


@pytest.mark.parametrize(("scale", "head"), [(1e-6, 1), (1e-12, 1), (0, 1), (1, 0)])
def test_one_zero_initialised_layer_hides_nothing(scale: float, head: float) -> None:
    assert _verdicts(_scaled(scale, head)) == {"drop_path.drop_prob": "acts"}


@pytest.mark.parametrize("scale", [0, 1e-12])
def test_two_zero_initialised_layers_hide_a_site_that_is_not_dead(scale: float) -> None:
    (proof,) = verify(_scaled(scale, 0), X).proofs
    assert proof.verdict == "hidden"
    assert "multiplies by zero" in proof.why


def test_attention_behind_zeros_is_hidden_not_dead() -> None:
    attention = nn.MultiheadAttention(4, 2)
    nn.init.zeros_(attention.out_proj.weight)
    model = Net(lambda net, x: 0 * net.attention(x, x, x)[0] + x, attention=attention)
    assert _verdicts(model) == {"attention.dropout": "hidden"}


def test_frozen_parameters_hide_nothing() -> None:
    model = Net(lambda net, x: 0 * net.drop(x) + x, drop=nn.Dropout()).requires_grad_(False)
    assert _verdicts(model) == {"drop.p": "hidden"}
    model.forward_ = lambda net, x: net.drop(x)
    assert _verdicts(model) == {"drop.p": "acts"}


def test_a_model_random_by_itself_is_said_to_be_and_its_sites_are_proved_alone() -> None:
    model = Net(
        lambda net, x: (net.drop(x) + torch.randn_like(x), net.unused(x))[0],
        drop=nn.Dropout(),
        unused=nn.Dropout(),
        forgotten=nn.Dropout(),
    )
    report = verify(model, X)
    assert not report.deterministic
    assert {p.site.path: p.verdict for p in report.proofs} == {
        "drop": "acts",
        "unused": "dead",
        "forgotten": "dead",
    }
    assert "random by itself" in str(report)


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dropout = 0.1

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) + torch.randn_like(x)


def test_what_no_run_can_tell_is_unproven() -> None:
    assert _verdicts(Noisy()) == {"dropout": "unproven"}


def test_layers_dropped_as_a_whole_are_tried_more_than_once() -> None:
    from timm.layers import DropPath

    for start in range(20):
        torch.manual_seed(start)
        path = DropPath(0.1, scale_by_keep=False)
        assert _verdicts(Net(lambda net, x: x + net.p(x), p=path), X[:1]) == {"p.drop_prob": "acts"}


@dataclass
class Output:
    logits: Tensor
    hidden: list[Tensor]


NESTS: dict[str, tuple[Callable[[Any, Tensor], Any], object]] = {
    "tensor": (lambda net, x: net.drop(x), X),
    "arguments": (lambda net, x: {"a": [net.drop(x)]}, (X,)),
    "keywords": (lambda net, x: (x, (net.drop(x),)), {"x": X}),
    "data class": (lambda net, x: Output(x, [net.drop(x)]), X),
}


@pytest.mark.parametrize("name", NESTS)
def test_examples_and_outputs_may_be_nested(name: str) -> None:
    forward, example = NESTS[name]
    assert _verdicts(Net(forward, drop=nn.Dropout()), example) == {"drop.p": "acts"}


def test_an_output_without_numbers_is_refused() -> None:
    with pytest.raises(SiteError, match="no floating-point tensor"):
        verify(Net(lambda net, x: net.drop(x).argmax(), drop=nn.Dropout()), X)


class Busy(nn.Module):
    """Everything a run may disturb: statistics, counters, caches, all random streams."""

    def __init__(self, fail: bool) -> None:
        super().__init__()
        self.norm, self.drop, self.dropout = nn.BatchNorm1d(4), nn.Dropout(0.3), 0.2
        self.path = nn.ModuleDict({"drop_path": nn.Identity()})
        self.attention = nn.MultiheadAttention(4, 2, dropout=0.1)
        self.register_buffer("steps", torch.zeros(()), persistent=False)
        self.calls, self.fail = 0, fail
        self.cache: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.steps: Tensor = self.steps + 1
        self.cache = torch.randn(2) + float(np.random.rand()) + random.random()
        if self.fail and self.calls == 4:
            raise RuntimeError("in the middle")
        x.add_(1)
        x = self.path["drop_path"](self.drop(self.norm(x)))
        x = F.dropout(x, self.dropout, training=self.training)
        mixed: Tensor = self.attention(x, x, x)[0]
        return mixed


def _picture(model: nn.Module) -> list[Any]:
    return [
        (
            name,
            type(module),
            {
                k: v if isinstance(v, Tensor) else repr(v)
                for k, v in vars(module).items()
                if not k.startswith("_")
            },
            list(module._modules),
            {k: (id(v), None if v is None else v.tolist()) for k, v in module._buffers.items()},
            sorted(module._non_persistent_buffers_set),
            {
                k: (id(p), id(p.grad), p.requires_grad)
                for k, p in module._parameters.items()
                if p is not None
            },
            (len(module._forward_hooks), len(module._forward_pre_hooks), module.training),
        )
        for name, module in model.named_modules()
    ]


def _streams() -> list[Any]:
    numpy = np.random.get_state()
    return [torch.get_rng_state().tolist(), str(numpy), random.getstate()]


@pytest.mark.parametrize("fail", [False, True])
def test_nothing_is_disturbed(fail: bool) -> None:
    model = Busy(fail)
    model(X.clone()).sum().backward()
    model.norm.eval()
    model.calls = 0
    grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    example = X.clone()
    picture, streams = _picture(model), _streams()
    if fail:
        with pytest.raises(RuntimeError, match="in the middle"):
            verify(model, example)
    else:
        assert set(_verdicts(model, example).values()) == {"acts"}
    assert _streams() == streams
    assert str(_picture(model)) == str(picture)
    assert torch.equal(example, X)
    after = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(grads) == len(after)
    assert all(torch.equal(a, b) for a, b in zip(grads, after, strict=True))


def test_no_tensor_is_kept() -> None:
    model = Busy(fail=False)

    def alive() -> int:
        gc.collect()
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())

    verify(model, X)
    before = alive()
    verify(model, X)
    assert alive() == before


def test_optimizers_hooked_to_the_backward_pass_do_not_step() -> None:
    model = Net(lambda net, x: net.drop(x), drop=nn.Dropout())
    stepped: list[Tensor] = []
    for parameter in model.parameters():
        hooked: Any = parameter
        hooked.register_post_accumulate_grad_hook(stepped.append)
    verify(model, X)
    assert not stepped


def test_a_driven_model_can_be_verified() -> None:
    model = Net(
        lambda net, x: net.drop_path(net.drop(x)), drop=nn.Dropout(), drop_path=nn.Identity()
    )
    drop = DropScheduler(model, dropout=standard(0.2), drop_path=standard(0.1))
    assert set(_verdicts(model).values()) == {"acts"}
    assert {site.rate for site in find_sites(model)} == {0.1, 0.2}
    drop.close()


def test_strict_names_the_driven_sites_that_do_nothing() -> None:
    model = Net(lambda net, x: net.a(x), a=nn.Dropout(0.1), b=nn.Dropout(0.1))
    classes = [type(module) for module in model.modules()]
    with pytest.raises(SiteError, match=r"1 of 2 driven sites do nothing:\npath .*\nb  .*\nLeave"):
        DropScheduler(model, dropout=standard(0.1), strict=True, example=X)
    assert [type(module) for module in model.modules()] == classes
    DropScheduler(model, rates={"a": standard(0.1)}, strict=True, example=X).close()
    with pytest.raises(SiteError, match="give one batch"):
        DropScheduler(model, dropout=standard(0.1), strict=True)


def test_timm_vit_behind_layer_scale_acts_everywhere() -> None:
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, depth=3, embed_dim=16, num_heads=2, init_values=1e-6
    )
    verdicts = [p.verdict for p in verify(model, torch.randn(2, 3, 32, 32)).proofs]
    assert verdicts.count("acts") == 20
    assert verdicts.count("sealed") == 1
    assert len(verdicts) == 21


def test_timm_coat_builds_an_attention_dropout_that_it_never_calls() -> None:
    from timm.models.coat import CoaT

    model = CoaT(
        img_size=64, patch_size=4, embed_dims=(8, 8, 8, 8), serial_depths=(1, 1, 1, 1),
        parallel_depth=0, num_heads=8, mlp_ratios=(1, 1, 1, 1), num_classes=2,
    )  # fmt: skip
    report = verify(model, torch.randn(2, 3, 64, 64))
    assert [site.path for site in report.dead] == [
        f"serial_blocks{stage}.0.factoratt_crpe.attn_drop" for stage in (1, 2, 3, 4)
    ]
    assert {p.verdict for p in report.proofs if p.site.kind != "attention"} == {"acts"}


def test_torchvision_swin_and_its_floats() -> None:
    model = torchvision.models.SwinTransformer(
        patch_size=[4, 4], embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=[2, 2]
    )
    assert set(_verdicts(model, torch.randn(2, 3, 16, 16)).values()) == {"acts"}


class Rebuilding(nn.Module):
    """As some of transformers: its forward changes its children and installs hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.drop = nn.Linear(4, 4), nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        self.inner.register_forward_hook(lambda module, args, output: None)
        self.inner = nn.Linear(4, 4)
        return self.drop(self.inner(x))  # type: ignore[no-any-return]


def test_a_model_that_rebuilds_itself_in_forward_is_put_back() -> None:
    model = Rebuilding()
    inner = model.inner
    verify(model, torch.randn(2, 4))
    assert model.inner is inner
    assert not inner._forward_hooks
