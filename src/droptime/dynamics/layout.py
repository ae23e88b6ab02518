"""A model's parameters as one long vector: named pieces, in groups, each piece where it lies."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from droptime.errors import ConfigError, GradientError, StateError

Groups: TypeAlias = "str | Sequence[str] | Callable[[str], str] | None"

OTHER = "other"


@dataclass(frozen=True)
class Layout:
    """Names, shapes and groups of the pieces; two vectors can be compared if theirs are equal.

    Attributes:
        names: of the parameters.
        shapes: of the whole parameters, sharded or not.
        sizes: numbers of each piece on this process.
        groups: names of the groups; ``("",)`` if there is only the whole.
        owners: index of each piece's group.
        mesh: the device mesh over which pieces are sharded, if they are.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]
    groups: tuple[str, ...]
    owners: tuple[int, ...]
    mesh: Any = None

    @classmethod
    def of(cls, parameters: Mapping[str, Tensor], groups: Groups = None) -> Layout:
        """Lay out named tensors.

        Raises:
            GradientError: there are none.
            ConfigError: groups that cannot be read, or a pattern that takes no name.
        """
        if not parameters:
            raise GradientError("There is no parameter that requires a gradient: unfreeze some.")
        names = tuple(parameters)
        labels = _labels(names, groups)
        found = tuple(dict.fromkeys(labels))
        mesh = _mesh(parameters)
        return cls(
            names=names,
            shapes=tuple(tuple(tensor.shape) for tensor in parameters.values()),
            sizes=tuple(local(tensor, mesh).numel() for tensor in parameters.values()),
            groups=found,
            owners=tuple(found.index(label) for label in labels),
            mesh=mesh,
        )

    @property
    def numel(self) -> int:
        """Numbers on this process."""
        return sum(self.sizes)

    def index(self, group: str) -> int:
        """The index of a group.

        Raises:
            ConfigError: there is no such group.
        """
        if group not in self.groups:
            known = ", ".join(map(repr, self.groups)) if self.groups != ("",) else "none"
            raise ConfigError(f"group={group!r}: there is no such group. There is: {known}.")
        return self.groups.index(group)

    def check(self, other: Layout, what: str, *, groups: bool = True) -> None:
        """Refuse a vector of another model, or one in other groups.

        Raises:
            StateError: names, shapes or groups differ; the message names one.
        """
        ours, theirs = (dict(zip(x.names, x.shapes, strict=True)) for x in (self, other))
        for name in [*ours, *theirs]:
            if ours.get(name) != theirs.get(name):
                raise StateError(
                    f"{what} is of another model: {name!r} has shape {theirs.get(name, 'none')} "
                    f"there and {ours.get(name, 'none')} here. Take both from one model."
                )
        if (self.names, self.sizes, self.mesh) != (other.names, other.sizes, other.mesh):
            raise StateError(f"{what} has its parameters in another order or sharded otherwise.")
        if groups and (self.groups, self.owners) != (other.groups, other.owners):
            raise StateError(f"{what} has other groups: give both the same groups=.")

    def pieces(self, gradients: Mapping[str, Tensor | None]) -> list[Tensor | None]:
        """This process's flat piece of each gradient; None where it is zero.

        Raises:
            StateError: a name or shape is not that of this layout.
        """
        if gradients.keys() != set(self.names):
            odd = sorted(gradients.keys() ^ set(self.names))[0]
            where = "missing" if odd in self.names else "unknown"
            raise StateError(f"Gradient {odd!r} is {where}: give those of the same parameters.")
        found: list[Tensor | None] = []
        for name, shape in zip(self.names, self.shapes, strict=True):
            gradient = gradients[name]
            if gradient is not None and tuple(gradient.shape) != shape:
                raise StateError(
                    f"Gradient {name!r} has shape {tuple(gradient.shape)}, before it had {shape}."
                )
            if gradient is not None and gradient.layout is not torch.strided:
                raise GradientError(
                    f"Gradient {name!r} is sparse: build its layer with sparse=False."
                )
            found.append(None if gradient is None else local(gradient, self.mesh))
        return found

    def total(self, parts: Tensor) -> Tensor:
        """Sum over the processes that share the vector; as it is where nothing is sharded."""
        if self.mesh is None:
            return parts
        device = self.mesh.device_type
        summed = parts.to(device).contiguous()
        for group in self.mesh.get_all_groups():
            torch.distributed.all_reduce(summed, group=group)
        return summed.to(parts.device)


def by_layer(name: str) -> str:
    """The layer a parameter belongs to: its path up to the first number, or its first part.

    >>> [by_layer(n) for n in ("cls_token", "patch_embed.proj.weight", "blocks.3.attn.qkv.bias")]
    ['cls_token', 'patch_embed', 'blocks.3']
    """
    match = re.match(r"(?:[^.]+\.)*?\d+(?=\.)", name)
    return match[0] if match else name.split(".")[0]


def local(tensor: Tensor, mesh: Any = None) -> Tensor:  # noqa: ANN401 - torch's DeviceMesh
    """This process's flat piece of a tensor; empty where another process counts it."""
    tensor = tensor.detach()
    if mesh is not None and is_sharded(tensor):
        placed: Any = tensor
        if any(p.is_partial() for p in placed.placements):
            raise GradientError("A sharded gradient is not reduced yet: measure after backward().")
        tensor, whole_over = placed.to_local(), [p.is_replicate() for p in placed.placements]
    else:
        whole_over = [] if mesh is None else [True] * mesh.ndim
    tensor = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    flat = tensor.reshape(-1)
    coordinate = () if mesh is None else mesh.get_coordinate()
    copy = any(place for place, whole in zip(coordinate, whole_over, strict=True) if whole)
    return flat[:0] if copy else flat


def is_sharded(tensor: Tensor) -> bool:
    """Whether a tensor is a DTensor, by its attributes."""
    return hasattr(tensor, "placements") and hasattr(tensor, "to_local")


def _mesh(parameters: Mapping[str, Tensor]) -> Any:  # noqa: ANN401
    meshes: list[Any] = []
    for tensor in parameters.values():
        if is_sharded(tensor) and tensor.device_mesh not in meshes:  # type: ignore[attr-defined]
            meshes.append(tensor.device_mesh)  # type: ignore[attr-defined]
    if len(meshes) > 1:
        raise GradientError(
            f"Parameters are sharded over {len(meshes)} device meshes: shard all over one mesh."
        )
    return meshes[0] if meshes else None


def _labels(names: tuple[str, ...], groups: Groups) -> list[str]:
    if groups is None:
        return [""] * len(names)
    if groups == "layer":
        return [by_layer(name) for name in names]
    if callable(groups):
        labels = [groups(name) for name in names]
        if not all(isinstance(label, str) and label for label in labels):
            raise ConfigError(f"groups={groups!r}: it must return a group's name for every name.")
        return labels
    if isinstance(groups, str) or not groups or not all(isinstance(p, str) for p in groups):
        raise ConfigError(
            f"groups={groups!r}: expected 'layer', a list of patterns such as ['blocks.*'], or a "
            "function from a parameter's name to its group's."
        )
    for pattern in groups:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise ConfigError(f"groups: {pattern!r} matches no parameter such as {names[0]!r}.")
    labels = [
        next((pattern for pattern in groups if fnmatch.fnmatchcase(name, pattern)), OTHER)
        for name in names
    ]
    for pattern in groups:
        if pattern not in labels:
            raise ConfigError(
                f"groups: all that {pattern!r} matches goes to patterns before it, of which the "
                "first counts: put it before them."
            )
    return labels
