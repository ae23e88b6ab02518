"""What the code of a module's class does with an attribute, read from its bytecode's names."""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Iterator
from types import CodeType

from torch import nn

_SETUP = ("__init__", "extra_repr", "as_sequential", "reset", "reset_classifier", "_build")


_READ: dict[type[nn.Module], tuple[frozenset[str], ...]] = {}


def forward_names(cls: type[nn.Module]) -> tuple[frozenset[str], ...]:
    """For each method of ``cls`` that may run in forward, the names it mentions; read once.

    Methods that build, reset or print the module are left out, and so is ``nn.Module`` itself.
    """
    if cls not in _READ:
        _READ[cls] = tuple(frozenset(_names(code)) for code in _forward_codes(cls))
    return _READ[cls]


def _forward_codes(cls: type[nn.Module]) -> Iterator[CodeType]:
    for base in cls.__mro__:
        if base not in (nn.Module, object):
            for name, member in vars(base).items():
                if not name.startswith(_SETUP) and (code := _code(member)):
                    yield code


def _code(member: object) -> CodeType | None:
    code = getattr(inspect.unwrap(member), "__code__", None) if callable(member) else None
    return code if isinstance(code, CodeType) else None


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from code.co_freevars
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


@functools.cache
def asked_for_none(cls: type[nn.Module]) -> frozenset[str]:
    """Attributes that a method of forward compares with None: ``if self.drop_path is not None``."""
    return frozenset(name for code in _forward_codes(cls) for name in _asked(code))


def _asked(code: CodeType) -> Iterator[str]:
    steps = list(dis.get_instructions(code))
    for step, following, last in zip(steps, steps[1:], steps[2:], strict=False):
        compared = (following.argval, last.opname) == (None, "IS_OP")
        if step.opname == "LOAD_ATTR" and (compared or following.opname.endswith("NONE")):
            yield step.argval
