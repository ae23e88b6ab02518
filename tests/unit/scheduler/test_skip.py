"""DropScheduler(skip=): as an argument, through training, compiled, checkpointed and closed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.utils.checkpoint import checkpoint

from droptime import Clock, DropScheduler
from droptime.errors import ConfigError, SiteError, StateError
from droptime.layers import DropPath, SkipPath
from tests.compiling import Compiled


class Block(nn.Module):
    """A residual branch."""

    def __init__(self, norm: type[nn.Module] = nn.LayerNorm) -> None:
        super().__init__()
        self.norm, self.mlp = norm(8), nn.Linear(8, 8)
        self.drop_path = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.mlp(self.norm(x)))  # type: ignore[no-any-return]


def _blocks(*norms: type[nn.Module]) -> nn.Sequential:
    kinds: list[type[nn.Module]] = [nn.LayerNorm, *norms]
    return nn.Sequential(*(Block(norm) for norm in kinds))


def _vit(**settings: Any) -> nn.Module:
    size = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2}
    model: nn.Module = timm.create_model("vit_tiny_patch16_224", num_classes=5, **size, **settings)
    return model


def _hooks(model: nn.Module) -> int:
    return sum(
        len(module._forward_pre_hooks) + len(module._forward_pre_hooks_with_kwargs)
        for module in model.modules()
    )


def test_the_plan_says_what_is_skipped_and_what_is_masked_and_why() -> None:
    drop = DropScheduler(
        _blocks(nn.BatchNorm1d, nn.LayerNorm), drop_path="standard(0.5)", skip=True
    )
    why = {row.site.path: row.why for row in drop.plan.rows}
    assert why["0.drop_path"] == "rate 0 at this depth, always"
    assert why["1.drop_path"].startswith("masked: BatchNorm")
    assert why["2.drop_path"] == "skipped from norm on"
    assert "skipped from norm on" in str(drop.plan)


@pytest.mark.parametrize("skip", [True, "fixed"])
def test_nothing_to_skip_is_an_error_with_the_reasons_and_changes_nothing(skip: Any) -> None:
    model = _blocks(nn.BatchNorm1d)
    with pytest.raises(SiteError, match=r"1\.drop_path: BatchNorm(.|\n)*Leave skip= out"):
        DropScheduler(model, drop_path="standard(0.5)", skip=skip)
    assert type(model[1].drop_path) is nn.Identity
    with pytest.raises(SiteError, match="no curve drives a drop path"):
        DropScheduler(nn.Sequential(nn.Dropout(0.1)), dropout="standard(0.1)", skip=skip)


@pytest.mark.parametrize("skip", ["yes", 2, None, "independent"])
def test_other_words_are_refused(skip: Any) -> None:
    with pytest.raises(ConfigError, match="expected True, False or 'fixed'"):
        DropScheduler(_blocks(nn.LayerNorm), drop_path="standard(0.5)", skip=skip)


def test_selectors_are_skipped_too() -> None:
    model = _vit()
    DropScheduler(model, rates={"blocks.2.*": "standard(0.5)"}, skip=True)
    kinds = [type(model.get_submodule(f"blocks.{i}.drop_path1")) for i in range(3)]
    assert kinds == [nn.Identity, nn.Identity, SkipPath]


def test_a_model_built_with_our_own_drop_path() -> None:
    model = _blocks(nn.LayerNorm)
    for block in model:
        block.drop_path = DropPath(0.3)
    drop = DropScheduler(model, drop_path="standard(0.5)", skip=True)
    assert isinstance(model[1].drop_path, SkipPath)
    drop.close()
    assert type(model[1].drop_path) is DropPath
    assert model[1].drop_path.p == 0.3
    assert set(vars(model[1].drop_path)) == set(vars(DropPath(0.3)))


@pytest.mark.parametrize("skip", [True, "fixed"])
def test_closing_gives_the_model_back(skip: Any) -> None:
    model = _vit(drop_path_rate=0.4).train()
    before = {
        path: (id(module), type(module), set(vars(module)))
        for path, module in model.named_modules()
    }
    keys = list(model.state_dict())
    drop = DropScheduler(model, drop_path="standard(0.5)", skip=skip)
    assert _hooks(model) == 8  # 4 branches, each counted in both tables
    assert list(model.state_dict()) == keys
    model(torch.randn(4, 3, 32, 32)).sum().backward()
    drop.close()
    drop.close()
    assert _hooks(model) == 0
    after = {
        path: (id(module), type(module), set(vars(module)))
        for path, module in model.named_modules()
    }
    assert after == before


def test_a_schedule_down_to_zero_and_evaluation_between() -> None:
    model = _vit().train()
    plain = copy.deepcopy(model)
    clock = Clock(total_steps=6)
    drop = DropScheduler(model, drop_path="early(0.6, until=4st)", clock=clock, skip=True)
    x = torch.randn(6, 3, 32, 32)
    for step in range(6):
        model.train()
        state = torch.get_rng_state()
        dropped = not torch.equal(model(x), plain(x))
        drew = not torch.equal(torch.get_rng_state(), state)
        assert dropped == drew == (step < 3)
        model.eval()
        assert torch.equal(model(x), plain.eval()(x))
        plain.train()
        drop.step()


@pytest.mark.parametrize("skip", [True, "fixed"])
@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_draws_the_same_masks_again(skip: Any, reentrant: bool) -> None:
    model = _blocks(nn.LayerNorm, nn.LayerNorm).train()
    DropScheduler(model, drop_path="standard(0.5)", skip=skip)
    x = torch.randn(8, 8, requires_grad=True)

    def gradients(run: Callable[[nn.Module, Tensor], Tensor]) -> list[Tensor]:
        torch.manual_seed(4)
        model.zero_grad()
        y = x
        for block in model:
            y = run(block, y)
        torch.autograd.backward(y.square().sum())
        found = [parameter.grad for parameter in model.parameters()]
        state = torch.get_rng_state()
        return [y.detach(), state, *(grad.clone() for grad in found if grad is not None)]

    plain = gradients(lambda block, y: block(y))
    again = gradients(lambda block, y: checkpoint(block, y, use_reentrant=reentrant))
    assert len(plain) == len(again) == 2 + 12
    for first, second in zip(plain, again, strict=True):
        assert torch.equal(first, second)


def test_timm_checkpointing_while_skipping() -> None:
    model = _vit().train()
    DropScheduler(model, drop_path="standard(0.5)", skip=True)
    x = torch.randn(8, 3, 32, 32)
    grads = []
    for on in (False, True):
        model.set_grad_checkpointing(on)  # type: ignore[operator]
        model.zero_grad()
        torch.manual_seed(2)
        torch.autograd.backward(model(x).square().sum())
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for first, second in zip(*grads, strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.slow
@pytest.mark.usefixtures("dynamo")
def test_compiled_independent_masks_are_the_masked_form_in_one_graph() -> None:
    model = _vit().train()
    clock = Clock(total_steps=20)
    drop = DropScheduler(model, drop_path="early(0.6, until=15st)", clock=clock, skip=True)
    compiled = Compiled(model, backend="aot_eager", fullgraph=True)
    x = torch.randn(8, 3, 32, 32)
    for part in ("norm1", "attn", "norm2", "mlp"):  # the number of rows never changes
        model.get_submodule(f"blocks.2.{part}").register_forward_hook(_all_eight)
    for step in range(18):
        y = compiled(x)
        torch.autograd.backward(y.square().sum())
        if not 8 <= step < 14:  # between, two small masks may well be alike
            assert torch.equal(y, compiled(x)) == (step >= 14)
        drop.step()
    assert compiled.graphs == 2


def _all_eight(module: nn.Module, args: Any, output: Tensor) -> None:
    assert output.shape[0] == 8


@pytest.mark.slow
@pytest.mark.usefixtures("dynamo")
def test_compiled_fixed_masks_skip_in_one_graph_for_each_rate() -> None:
    model = _blocks(nn.LayerNorm).train()

    def plateaus(step: int) -> float:
        return 0.5 if step < 4 else 0.25 if step < 8 else 0.0

    drop = DropScheduler(model, drop_path=plateaus, skip="fixed")
    compiled = Compiled(model, backend="aot_eager", fullgraph=True)
    first, x = copy.deepcopy(model[0]), torch.randn(8, 8)
    graphs: list[int] = []
    for step in range(12):
        changed = (compiled(x) - first(x)).abs().sum(1) > 0
        assert int(changed.sum()) == (4 if step < 4 else 6 if step < 8 else 8)
        graphs.append(compiled.graphs)
        drop.step()
    for plateau in (graphs[:4], graphs[4:8], graphs[8:]):
        assert len(set(plateau)) == 1
    assert len(set(graphs)) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("dynamo")
def test_compiled_fixed_masks_give_the_gradients_of_eager() -> None:
    model = _vit().train()
    DropScheduler(model, drop_path="standard(0.5)", skip="fixed")
    compiled = Compiled(model, backend="aot_eager", fullgraph=True)
    x = torch.randn(8, 3, 32, 32)
    found = []
    for call in (model, compiled):
        torch.manual_seed(3)
        model.zero_grad()
        y = call(x)
        torch.autograd.backward(y.square().sum())
        found.append([y, *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second)


def test_a_fixed_count_is_part_of_the_state_independent_masks_are_not() -> None:
    def scheduler(skip: Any) -> DropScheduler:
        return DropScheduler(_blocks(nn.LayerNorm), drop_path="standard(0.5)", skip=skip)

    scheduler(True).load_state_dict(scheduler(False).state_dict())
    scheduler("fixed").load_state_dict(scheduler("fixed").state_dict())
    with pytest.raises(StateError, match="skip: saved nothing, here fixed"):
        scheduler("fixed").load_state_dict(scheduler(True).state_dict())


@pytest.mark.parametrize("skip", [True, "fixed"])
def test_autocast(skip: Any) -> None:
    model = _vit().train()
    DropScheduler(model, drop_path="standard(0.5)", skip=skip)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = model(torch.randn(8, 3, 32, 32))
    torch.autograd.backward(y.float().square().sum())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.slow
def test_distributed_training_when_one_rank_keeps_nobody(tmp_path: Path) -> None:
    """Two processes: ranks draw their own masks, and no parameter is left without a gradient."""
    spawn(_rank, args=(str(tmp_path / "meet"),), nprocs=2)  # type: ignore[no-untyped-call]


def _rank(rank: int, meet: str) -> None:
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = DistributedDataParallel(_blocks(nn.LayerNorm, nn.LayerNorm))
    DropScheduler(model, drop_path=f"standard({(0.999999, 0.3)[rank]})", skip=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.manual_seed(rank)
    for _ in range(4):
        optimizer.zero_grad()
        torch.autograd.backward(model(torch.randn(4, 8)).square().mean())
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
    own = torch.cat([p.detach().flatten() for p in model.parameters()])
    both = [torch.empty_like(own) for _ in range(2)]
    dist.all_gather(both, own)
    assert torch.equal(both[0], both[1])
    dist.destroy_process_group()
