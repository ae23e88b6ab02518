"""Whether saved tensors are those of this model: by name, shape and kind of number."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from droptime.errors import CheckpointError


def check_fit(saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Make sure that every saved tensor has its like, and none is missing.

    Otherwise one of another shape might be stretched to fit, or read past its end by an optimizer.

    Raises:
        CheckpointError: names the first of those that do not fit.
    """
    wrong = [
        f"{name} is {_said(saved.get(name))}, expected {_said(own.get(name))}"
        for name in sorted({**own, **saved})
        if _said(saved.get(name)) != _said(own.get(name))
    ]
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise CheckpointError(f"The saved tensors do not fit: {'; '.join(wrong[:3])}{more}.")


def _said(tensor: Tensor | None) -> str:
    if tensor is None:
        return "absent"
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
