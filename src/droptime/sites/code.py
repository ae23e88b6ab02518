"""What the code of a module's class does with an attribute, read from its bytecode."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

from torch import nn

_SETUP = ("__init__", "extra_repr", "as_sequential", "reset", "_build", "update_layer")


@dataclass(frozen=True)
class Method:
    """What one method mentions.

    Attributes:
        loads: the dotted names it reads, in order: ``"self.dropout.p"``, ``"F.dropout"``.
        names: every part of them.
        keywords: names of the keyword arguments that it passes on.
        asked: attributes that it compares with None, as in ``if self.drop_path is not None``.
    """

    loads: tuple[str, ...]
    names: frozenset[str]
    keywords: frozenset[str]
    asked: frozenset[str]


_READ: dict[type[nn.Module], tuple[Method, ...]] = {}


def forward_methods(cls: type[nn.Module]) -> tuple[Method, ...]:
    """The methods of ``cls`` that may run in forward; read once.

    Methods that build, reset or print the module are left out, those that a subclass overrides
    without calling them, and ``nn.Module`` itself.
    """
    if cls not in _READ:
        _READ[cls] = tuple(_methods(cls))
    return _READ[cls]


def _methods(cls: type[nn.Module]) -> Iterator[Method]:
    overridden: set[str] = set()
    for base in cls.__mro__:
        if base in (nn.Module, object):
            continue
        for name, member in vars(base).items():
            if name.startswith(_SETUP) or name in overridden or not (code := _code(member)):
                continue
            method = _method(code)
            if "super" not in method.names:
                overridden.add(name)
            yield method


def _code(member: object) -> CodeType | None:
    code = getattr(inspect.unwrap(member), "__code__", None) if callable(member) else None
    return code if isinstance(code, CodeType) else None


def _method(code: CodeType) -> Method:
    codes = list(_nested(code))
    loads = tuple(load for each in codes for load in _loads(each))
    names = frozenset(name for each in codes for name in each.co_names + each.co_freevars)
    keywords = frozenset(
        name
        for each in codes
        for constant in each.co_consts
        if isinstance(constant, tuple) and all(isinstance(name, str) for name in constant)
        for name in constant
    )
    asked = frozenset(name for each in codes for name in _asked(each))
    return Method(loads, names, keywords, asked)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


_FILLERS = ("CACHE", "EXTENDED_ARG", "PUSH_NULL", "NOP")


def _loads(code: CodeType) -> Iterator[str]:
    """Chains of attribute reads, each from the variable where it starts."""
    chain: list[str] = []
    for instruction in dis.get_instructions(code):
        operation, value = instruction.opname, instruction.argval
        if operation in _FILLERS:
            continue
        if chain and operation in ("LOAD_ATTR", "LOAD_METHOD"):
            chain.append(str(value))
            continue
        if len(chain) > 1 or (chain and chain[0] not in code.co_varnames):
            yield ".".join(chain)
        starts = operation.startswith("LOAD_") and isinstance(value, (str, tuple))
        names = value if isinstance(value, tuple) else (value,)  # one opcode may load two
        chain = [str(names[-1])] if starts and operation != "LOAD_CONST" else []
    if len(chain) > 1:
        yield ".".join(chain)


def _asked(code: CodeType) -> Iterator[str]:
    steps = list(dis.get_instructions(code))
    for step, following, last in zip(steps, steps[1:], steps[2:], strict=False):
        compared = (following.argval, last.opname) == (None, "IS_OP")
        if step.opname == "LOAD_ATTR" and (compared or following.opname.endswith("NONE")):
            yield step.argval
