"""A GPU without values, on any machine: what the host would wait for is an error there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

GPU = torch.device("cuda", 0)


class FakeGPU(TorchDispatchMode):
    """Tensors on :data:`GPU` have shapes and no values; those of the CPU are real.

    Reading a value from the GPU is an error of torch's own, always. Inside :meth:`strict`, so are
    copies that CUDA ends before it goes on (to the GPU, all but non-blocking ones from pinned
    memory), and results whose size is a value. ``kernels`` counts the operations in there.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.kernels = 0
        self._strict = False

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, given)) if isinstance(leaf, Tensor)]
        real = [tensor for tensor in tensors if not isinstance(tensor, FakeTensor)]
        device = torch.device(given.get("device") or "cpu")
        if len(real) == len(tensors) and device.type == "cpu":
            with unset_fake_temporarily():
                return func(*args, **given)
        if self._strict:
            self.kernels += 1
            free = given.get("non_blocking") or (len(args) > 2 and args[2] is True)
            _check(str(func), real, given.get("device"), free=bool(free))
        args, given = tree_map_only(Tensor, _without_values, (args, given))
        return func(*args, **given)

    @contextmanager
    def strict(self) -> Iterator[None]:
        """Refuse what the host would wait for."""
        self._strict = True
        try:
            yield
        finally:
            self._strict = False


def _check(name: str, real: list[Tensor], device: torch.device | None, *, free: bool) -> None:
    why = None
    if name.startswith(("aten.nonzero", "aten.masked_select", "aten._unique")):
        why = "the size of the result"
    elif device is not None and torch.device(device).type == "cpu":
        why = "a copy from the device"
    elif name.startswith(("aten._to_copy", "aten.copy_")) and real:
        pinned = all(hasattr(tensor, "pinned") for tensor in real)
        why = None if free and pinned else "a copy to the device"
    if why:
        raise AssertionError(f"{name}: the host waits for {why}")


def _without_values(tensor: Tensor) -> Tensor:
    if isinstance(tensor, FakeTensor):
        return tensor
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)


@contextmanager
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGPU]:
    """Have a GPU inside the block, for models that are made on it.

    What needs a driver is replaced: generators, pinning, and autograd's engine, in whose place
    every parameter gets a gradient.
    """
    make, gpu = torch.Generator, FakeGPU()

    def pin(tensor: Tensor) -> Tensor:
        copy = tensor.clone()
        copy.pinned = True  # type: ignore[attr-defined]
        return copy

    def backward(accelerator: Accelerator, loss: Tensor) -> None:
        for model in accelerator._models:
            for parameter in model.parameters():
                parameter.grad = torch.empty_like(parameter)

    with monkeypatch.context() as patch, gpu.fake, gpu:
        patch.setattr(torch, "Generator", lambda device=None: make())
        patch.setattr(Tensor, "pin_memory", pin)
        patch.setattr(nn.Module, "to", lambda model, *args, **kwargs: model)
        patch.setattr(Accelerator, "device", GPU)
        patch.setattr(Accelerator, "backward", backward)
        yield gpu
