"""SkipPath: which samples are kept, what is done with them, what is refused."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from droptime.errors import SiteError
from droptime.layers import DropPath, SkipPath
from droptime.layers.skip import Kept


class Branch(nn.Module):
    """A branch that is entered at ``inner`` and ends in ``path``; no residual, to see it bare."""

    def __init__(self, p: float, *, fixed: bool = False, scale_by_keep: bool = True) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.path = SkipPath(p, fixed=fixed, scale_by_keep=scale_by_keep)
        self.inner.register_forward_pre_hook(self.path.enter, with_kwargs=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.path(self.inner(x))  # type: ignore[no-any-return]


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.9])
def test_independent_masks_keep_each_sample_by_itself(rate: float) -> None:
    path, x = SkipPath(rate), torch.ones(16, 1)
    draws = 2000
    kept = torch.zeros(draws, 16)
    for i in range(draws):
        chosen = path.choose(x)
        if chosen.scale:
            kept[i, slice(None) if chosen.rows is None else chosen.rows] = 1
            assert chosen.scale == 1 / (1 - rate)
    n = draws * 16
    assert abs(kept.mean().item() - (1 - rate)) <= 5 * (rate * (1 - rate) / n) ** 0.5
    counts = kept.sum(1)  # binomial: as spread as independent samples are
    variance = 16 * rate * (1 - rate)
    assert counts.var().item() == pytest.approx(variance, rel=0.2)


@pytest.mark.parametrize(
    ("batch", "rate", "count"), [(8, 0.5, 4), (8, 0.3, 6), (10, 0.33, 7), (4, 0.95, 1), (2, 0.1, 2)]
)
def test_fixed_masks_keep_one_count_and_every_sample_alike(
    batch: int, rate: float, count: int
) -> None:
    path, x = SkipPath(rate, fixed=True), torch.ones(batch, 1)
    draws = 2000
    kept = torch.zeros(batch)
    for _ in range(draws):
        chosen = path.choose(x)
        if chosen.rows is None:
            assert (count, chosen.scale) == (batch, 1.0)
            return
        assert len(chosen.rows) == len(set(chosen.rows.tolist())) == count
        assert chosen.scale == batch / count
        kept[chosen.rows] += 1
    share = count / batch
    assert (kept / draws - share).abs().max() <= 5 * (share * (1 - share) / draws) ** 0.5


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("rate", [0.2, 0.5, 0.8])
def test_the_mean_output_is_that_of_the_whole_branch(rate: float, fixed: bool) -> None:
    branch, x = Branch(rate, fixed=fixed), torch.ones(8, 3)
    with torch.no_grad():
        mean = torch.stack([branch(x).mean(0) for _ in range(3000)]).mean(0)
    spread = (rate / (1 - rate) / (3000 * 8)) ** 0.5
    expected = branch.eval()(x)[0]
    assert ((mean / expected - 1).abs() <= 5 * spread).all()


@pytest.mark.parametrize("fixed", [False, True])
def test_without_scaling_the_kept_rows_are_left_as_they_are(fixed: bool) -> None:
    branch, x = Branch(0.5, fixed=fixed, scale_by_keep=False), torch.randn(8, 3)
    y, whole = branch(x), copy.deepcopy(branch).eval()(x)
    kept = (y != 0).any(1)
    assert 0 < kept.sum() < 8
    torch.testing.assert_close(y[kept], whole[kept])


def test_when_all_are_dropped_the_output_and_every_gradient_is_zero_not_missing() -> None:
    branch, x = Branch(0.999999), torch.randn(3, 3, requires_grad=True)
    rows: list[int] = []
    branch.inner.register_forward_hook(lambda module, args, output: rows.append(len(output)))
    y = branch(x)
    y.sum().backward()
    assert rows == [1]
    assert not y.any()
    for tensor in (x, *branch.parameters()):
        assert tensor.grad is not None
        assert not tensor.grad.any()


def test_when_all_are_kept_nothing_is_copied() -> None:
    path, x = SkipPath(1e-7), torch.randn(3, 3)
    kept = path.choose(x)
    assert kept.rows is None
    assert kept.gather(x) is x


def test_eval_mode_and_rate_zero_draw_nothing_and_change_nothing() -> None:
    for branch in (Branch(0.5).eval(), Branch(0.0)):
        x, state = torch.randn(4, 3), torch.get_rng_state()
        given: list[Tensor] = []
        branch.inner.register_forward_hook(lambda m, args, output, seen=given: seen.append(args[0]))
        y = branch(x)
        assert given[0] is x
        torch.testing.assert_close(y, branch.inner(x))
        assert torch.equal(torch.get_rng_state(), state)


def test_one_that_was_not_entered_masks_as_drop_path_does() -> None:
    x = torch.randn(64, 2, 2)
    torch.manual_seed(3)
    skipped = SkipPath(0.4)(x)
    torch.manual_seed(3)
    assert torch.equal(skipped, DropPath(0.4)(x))
    fixed = SkipPath(0.4, fixed=True)(x)
    assert (fixed.flatten(1) != 0).any(1).sum() == round(64 * 0.6)


def test_a_branch_left_with_other_rows_than_it_was_entered_with_is_an_error() -> None:
    path, x = SkipPath(0.5), torch.randn(8, 3)
    path.enter(nn.Identity(), (x,), {})
    with pytest.raises(SiteError, match=r"entered with \d of 8 samples and left with 8 rows"):
        path(x)
    path(x)  # and the next call starts afresh


def test_an_entry_that_never_reached_its_end_is_forgotten() -> None:
    branch, x = Branch(0.5), torch.randn(8, 3)
    branch.path.enter(nn.Identity(), (x,), {})
    branch.eval()
    torch.testing.assert_close(branch(x), branch.inner(x))
    branch.train()
    torch.manual_seed(0)
    first = branch(x)
    branch.path.enter(nn.Identity(), (x,), {})
    torch.manual_seed(0)
    assert torch.equal(branch(x), first)


def test_the_input_is_found_by_name_too_and_gathered_wherever_it_is_given() -> None:
    path, x, mask = SkipPath(0.5), torch.randn(8, 3), torch.ones(1)
    result = path.enter(nn.Identity(), (), {"query": x, "key": x, "mask": mask, "flag": None})
    assert result is not None
    args, kwargs = result
    assert args == ()
    assert kwargs["query"] is kwargs["key"]
    assert len(kwargs["query"]) < 8
    assert kwargs["mask"] is mask
    assert kwargs["flag"] is None


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last], ids=str)
def test_the_layout_in_memory_stays(memory: torch.memory_format) -> None:
    x = torch.randn(4, 3, 5, 5).contiguous(memory_format=memory)
    kept = Kept(torch.tensor([2, 0]), 4, 2.0)
    rows = kept.gather(x)
    assert rows.is_contiguous(memory_format=memory)
    assert torch.equal(rows, x[[2, 0]])
    y = kept.scatter(rows)
    assert y.is_contiguous(memory_format=memory)
    assert torch.equal(y[[2, 0]], 2 * x[[2, 0]])
    assert not y[[1, 3]].any()


def test_copies_and_pickles_are_entered_by_themselves() -> None:
    branch, x = Branch(0.5), torch.randn(8, 3)
    for twin in (copy.deepcopy(branch), pickle.loads(pickle.dumps(branch))):
        torch.manual_seed(1)
        ours = branch(x)
        torch.manual_seed(1)
        assert torch.equal(twin(x), ours)
        next(iter(twin.inner._forward_pre_hooks.values()))(twin.inner, (x,), {})
        assert twin.path._kept is not None
        assert branch.path._kept is None
