"""Dropout from narrow integers: the law of dropout, its derivatives, and where it is used."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from droptime.layers import Dropout, narrow_dropout

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 1 / 3, 0.4)
RATES = (*SHARES, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
LARGE = (16, 64, 64)  # drawn from narrow integers by the layer
N = 2**20


def _realised(p: float) -> float:
    return round(p * 2**16) / 2**16


def _dropped(p: float, n: int = N) -> Tensor:
    """Which of n elements are dropped, as 0. and 1."""
    return (narrow_dropout(torch.ones(n), p) == 0).double()


def _standardised(sample: Tensor, p: float) -> Tensor:
    return (sample - p) / math.sqrt(p * (1 - p))


def _draw(layer: Callable[[Tensor], Tensor], x: Tensor, seed: int = 1) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    return layer(x), torch.get_rng_state()


def _gradient(y: Tensor, x: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(y.sum(), x)
    return gradient


# The law


@pytest.mark.parametrize("p", RATES)
def test_the_fraction_dropped(p: float) -> None:
    realised = _realised(p)
    assert abs(realised - p) <= 2**-17
    deviation = math.sqrt(realised * (1 - realised) / N)
    assert abs(_dropped(p).mean().item() - realised) < 5 * deviation


@pytest.mark.parametrize("p", [0.01, 0.1, 0.25, 0.5, 0.75, 0.9])
def test_every_lane_of_a_word_has_the_rate(p: float) -> None:
    realised = _realised(p)
    deviation = math.sqrt(realised * (1 - realised) / (N / 4))
    lanes = _dropped(p).view(-1, 4).mean(dim=0)
    assert (lanes - realised).abs().max().item() < 5 * deviation


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
def test_lanes_of_a_word_are_independent(p: float) -> None:
    lanes = _standardised(_dropped(p), _realised(p)).view(-1, 4)
    for a, b in itertools.combinations(range(4), 2):
        assert abs((lanes[:, a] * lanes[:, b]).mean().item()) < 5 / math.sqrt(N / 4)
    for a, b in itertools.product(range(4), repeat=2):  # with lanes of the next word
        assert abs((lanes[1:, a] * lanes[:-1, b]).mean().item()) < 5 / math.sqrt(N / 4 - 1)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("lag", [1, 2, 3, 4, 8, 16, 192, 197, 624, 1248, 2496])
def test_neighbours_are_independent(lag: int, p: float) -> None:
    z = _standardised(_dropped(p), _realised(p))
    assert abs((z[lag:] * z[:-lag]).mean().item()) < 5 / math.sqrt(N - lag)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
def test_calls_are_independent(p: float) -> None:
    first, second = (_standardised(_dropped(p), _realised(p)) for _ in range(2))
    assert abs((first * second).mean().item()) < 5 / math.sqrt(N)


def test_sums_over_rows_have_the_variance_of_independent_draws() -> None:
    """A dependence of any reach within a row of 256 would widen or narrow its sums."""
    p, width = _realised(0.3), 256
    sums = _standardised(_dropped(0.3), p).view(-1, width).sum(dim=1)
    rows = N // width
    excess = (1 - 6 * p * (1 - p)) / (p * (1 - p)) / width
    deviation = width * math.sqrt((2 + excess) / rows)
    assert abs(sums.square().mean().item() - width) < 5 * deviation


# The scale


@pytest.mark.parametrize("p", RATES)
def test_the_expectation_is_exact(p: float) -> None:
    y = narrow_dropout(torch.ones(2**14, dtype=torch.float64), p)
    kept = 2**16 - round(p * 2**16)  # of 2^16 integers
    assert set(y.tolist()) == {0.0, 2**16 / kept}


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_the_product_is_rounded(dtype: torch.dtype) -> None:
    x = torch.randn(4096).to(dtype)
    y = narrow_dropout(x, 0.1)
    wide = x.double() if dtype == torch.float64 else x.float()
    expected = (wide * (2**16 / (2**16 - 6554))).to(dtype)
    kept = y != 0
    assert y.dtype == dtype
    assert 3000 < kept.sum() < 4000
    assert torch.equal(y[kept], expected[kept])


# Derivatives


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gradient_is_mask_times_scale(dtype: torch.dtype) -> None:
    x = torch.ones(5000, dtype=dtype, requires_grad=True)
    y = narrow_dropout(x, 0.4)
    assert torch.equal(_gradient(y, x), y)


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:FutureWarning")  # torch's forward mode
def test_derivatives_of_every_order_and_mode() -> None:
    x = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)

    def drop(x: Tensor) -> Tensor:
        return _draw(lambda x: narrow_dropout(x, 0.3), x)[0]

    assert torch.autograd.gradcheck(drop, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda x: drop(x) ** 3, x, check_fwd_over_rev=True)


def test_one_byte_an_element_is_kept_for_backward() -> None:
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        narrow_dropout(torch.ones(1000, requires_grad=True), 0.5)
    assert sum(t.untyped_storage().nbytes() for t in kept) == 1000


# Inputs


@pytest.mark.parametrize(
    "x",
    [
        torch.ones(8, 3, 32, 32).to(memory_format=torch.channels_last),
        torch.ones(4, 3, 8, 16, 16).to(memory_format=torch.channels_last_3d),
        torch.ones(128, 256).t(),
        torch.ones(128, 256)[::2, ::2],
        torch.ones(128, 1).expand(128, 256),
        torch.ones(0, 4),
        torch.ones(()),
    ],
    ids=["channels_last", "channels_last_3d", "transposed", "strided", "expanded", "empty", "0-d"],
)
def test_any_layout_keeps_its_shape_and_strides(x: Tensor) -> None:
    y = narrow_dropout(x, 0.5)
    assert y.shape == x.shape
    assert y.stride() == F.dropout(x, 0.5).stride()
    assert set(y.flatten().tolist()) <= {0.0, 2.0}
    if x.numel() > 1:
        assert abs((y == 0).double().mean().item() - 0.5) < 5 * 0.5 / math.sqrt(x.numel())


def test_rows_and_columns_of_a_transposed_input_are_dropped_alike() -> None:
    x = torch.ones(512, 256)
    straight, _ = _draw(lambda x: narrow_dropout(x, 0.5), x)
    turned, _ = _draw(lambda x: narrow_dropout(x, 0.5), x.t().contiguous().t())
    assert not torch.equal(straight, turned)  # the order is that of memory
    assert torch.equal(straight.flatten(), turned.t().flatten())


# The layer


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_inputs_of_the_layer_are_narrow(dtype: torch.dtype) -> None:
    x = torch.randn(LARGE).to(dtype)
    ours, state = _draw(Dropout(0.3), x)
    expected, after = _draw(lambda x: narrow_dropout(x, 0.3), x)
    assert torch.equal(ours, expected)
    assert torch.equal(state, after)
    assert not torch.equal(ours, _draw(nn.Dropout(0.3), x)[0])


def test_one_state_of_the_generator_gives_one_mask() -> None:
    layer, x = Dropout(0.3), torch.ones(LARGE)
    state = torch.get_rng_state()
    first, second = layer(x), layer(x)
    torch.set_rng_state(state)
    assert torch.equal(layer(x), first)
    assert torch.equal(layer(x), second)
    assert not torch.equal(first, second)


def test_masks_do_not_depend_on_the_number_of_threads() -> None:
    x, threads = torch.ones(2**18), torch.get_num_threads()
    masks = []
    for count in (1, 2):
        torch.set_num_threads(count)
        masks.append(_draw(Dropout(0.3), x)[0])
    torch.set_num_threads(threads)
    assert torch.equal(*masks)


def _same_as_torch(layer: Dropout, x: Tensor) -> None:
    ours, theirs = _draw(layer, x), _draw(nn.Dropout(layer.p, layer.inplace), x)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)


def test_small_inputs_keep_torchs_masks() -> None:
    _same_as_torch(Dropout(0.3), torch.ones(2**14 - 1))
    x = torch.ones(2**14)
    assert not torch.equal(_draw(Dropout(0.3), x)[0], _draw(nn.Dropout(0.3), x)[0])


@pytest.mark.parametrize("p", [1e-6, 1e-4, 9.7e-4, 0.9991, 1 - 1e-6])
def test_rates_that_16_bits_cannot_tell_keep_torchs_masks(p: float) -> None:
    _same_as_torch(Dropout(p), torch.ones(LARGE))


def test_a_limit_out_of_reach_keeps_torchs_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dropout, "narrow_from", math.inf)
    _same_as_torch(Dropout(0.3), torch.ones(LARGE))


def test_complex_numbers_and_subclasses_are_left_to_torch() -> None:
    _same_as_torch(Dropout(0.3), torch.ones(LARGE, dtype=torch.complex64))
    _same_as_torch(Dropout(0.3), nn.Parameter(torch.ones(LARGE)))


def test_in_place() -> None:
    x = torch.ones(LARGE)
    y = Dropout(0.5, inplace=True)(x)
    assert y is x
    assert set(x.flatten().tolist()) == {0.0, 2.0}
    leaf = torch.ones(LARGE, requires_grad=True)
    doubled = leaf * 2
    dropped = Dropout(0.5, inplace=True)(doubled)
    assert torch.equal(_gradient(dropped, leaf), dropped)
    with pytest.raises(RuntimeError, match="leaf"):
        Dropout(0.5, inplace=True)(leaf)


def test_autocast_changes_nothing() -> None:
    x = torch.randn(LARGE)
    plain, _ = _draw(Dropout(0.3), x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(_draw(Dropout(0.3), x)[0], plain)
        assert Dropout(0.3)(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpointing_draws_the_mask_again(reentrant: bool) -> None:
    layer = Dropout(0.3)
    gradients = []
    for call in (layer, lambda x: checkpoint(layer, x, use_reentrant=reentrant)):
        x = torch.ones(LARGE, requires_grad=True)
        y, _ = _draw(call, x)
        y.sum().backward()  # type: ignore[no-untyped-call]
        assert x.grad is not None
        assert torch.equal(x.grad, y)
        gradients.append(x.grad)
    assert torch.equal(*gradients)


def test_torch_func_has_torchs_masks() -> None:
    x = torch.ones(LARGE)

    def gradient(layer: nn.Module) -> Tensor:
        torch.manual_seed(1)
        found: Tensor = torch.func.grad(lambda x: layer(x).square().sum())(x)
        return found

    assert torch.equal(gradient(Dropout(0.3)), gradient(nn.Dropout(0.3)))
    for randomness in ("same", "different"):
        ours, theirs = (
            _draw(torch.func.vmap(layer, randomness=randomness), x)[0]
            for layer in (Dropout(0.3), nn.Dropout(0.3))
        )
        assert torch.equal(ours, theirs)
    with pytest.raises(RuntimeError, match="randomness"):
        torch.func.vmap(Dropout(0.3))(x)


def test_meta_and_fake_tensors_pass() -> None:
    assert Dropout(0.3)(torch.ones(LARGE, device="meta")).shape == LARGE
    with torch._subclasses.FakeTensorMode():
        assert Dropout(0.3)(torch.ones(LARGE)).shape == LARGE
