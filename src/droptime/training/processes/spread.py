"""One model over several processes: a copy in each, or a part of every tensor in each."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel


def spread(model: nn.Module, accelerator: Accelerator, *, shard: bool) -> nn.Module:
    """Return what is called in place of the model, in the run's precision, compiled if asked.

    Args:
        model: on its device.
        accelerator: knows processes, precision and compilation.
        shard: keep a part of every weight, gradient and moment in each process (FSDP2), gathered
            block by block; else a copy of all (DDP), and with one process the model alone.
    """
    if shard:
        mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
        for block in _blocks(model):
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
    with warnings.catch_warnings():  # its successor syncs at the start too, and Accelerate lacks it
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        prepared: nn.Module = accelerator.prepare_model(model, evaluation_mode=shard)
    return prepared


def _blocks(model: nn.Module) -> list[nn.Module]:
    """Return what a model repeats: the outermost lists of modules of one class."""
    found: list[nn.Module] = []
    for child in model.children():
        alike = isinstance(child, nn.ModuleList | nn.Sequential) and _alike(list(child))
        found += list(child.children()) if alike else _blocks(child)
    return found


def _alike(modules: list[nn.Module]) -> bool:
    weighty = all(next(module.parameters(), None) is not None for module in modules)
    return len(modules) > 1 and len({type(module) for module in modules}) == 1 and weighty


def passes(model: nn.Module, *, last: bool) -> AbstractContextManager[object]:
    """Return the context of one forward and backward: gradients are shared after the last only.

    Args:
        model: what :func:`spread` returned.
        last: whether an optimizer step follows.
    """
    inner = getattr(model, "_orig_mod", model)
    if isinstance(inner, FSDPModule):
        inner.set_requires_gradient_sync(last)
    elif isinstance(inner, DistributedDataParallel) and not last:
        silent: AbstractContextManager[object] = inner.no_sync()
        return silent
    return nullcontext()


def whole(tensors: Mapping[str, Tensor], *, keep: bool) -> dict[str, Tensor]:
    """Return every tensor whole and on the CPU; ``{}`` where it is not to be kept.

    Every process takes part, one tensor after the other, so that no device holds the model twice.
    """
    kept: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        value = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if keep:
            kept[name] = value.detach().to("cpu", copy=True)
    return kept


def like(tensor: Tensor, now: Tensor) -> Tensor:
    """Return a whole tensor as ``now`` is kept: laid out like it, or in parts on its device."""
    if not isinstance(now, DTensor):
        return torch.empty_like(now, dtype=tensor.dtype, device=tensor.device).copy_(tensor)
    return distribute_tensor(tensor.to(now.device), now.device_mesh, now.placements)


def own_parts(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return what this process keeps of each tensor, in the same memory."""
    parts: list[Any] = [t.to_local() if isinstance(t, DTensor) else t for t in tensors]
    return parts


def all_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Return whether every number of this process's parts is finite, 0-dim: nothing is read."""
    return torch.stack(torch._foreach_norm(own_parts(tensors))).isfinite().all()


def running_statistics(model: nn.Module) -> list[Tensor]:
    """Return the buffers that forward passes write: those of batch norm."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    return [buffer for norm in norms for buffer in norm.buffers(recurse=False)]
