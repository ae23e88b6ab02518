"""Where the residual branch that ends in a drop path begins, read from the block's own code.

The block's forward is traced symbolically, each of its children one opaque step. The first child
through which everything that the drop path is given must pass is the branch's entry: whatever runs
between the two then sees only the rows that the entry was given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import getitem
from typing import Any

from torch import fx, nn

from droptime.sites.tracing import trace

_LEVELS = 3
"""How far above a drop path the module that calls it may be."""

_LAYERS = ("DropPath", "SkipPath", "StochasticDepth", "Identity")
"""How the class of a drop path, or of its placeholder, ends."""


@dataclass(frozen=True)
class Branch:
    """The branches that one drop path ends.

    Attributes:
        entries: paths of the first modules of those that can be skipped.
        why: the reason, where one cannot.
        single: paths of modules inside that must return one tensor only: the block also returns
            what else they make (attention weights, on request), which would lack rows.
    """

    entries: tuple[str, ...]
    why: str = ""
    single: tuple[str, ...] = ()


def find_branch(model: nn.Module, path: str) -> Branch:
    """Return where the branches that end in the drop path ``path`` begin. Changes nothing.

    >>> class Block(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.norm, self.mlp = nn.LayerNorm(4), nn.Linear(4, 4)
    ...         self.drop_path = nn.Identity()
    ...     def forward(self, x):
    ...         return x + self.drop_path(self.mlp(self.norm(x)))
    >>> find_branch(nn.Sequential(Block()), "0.drop_path")
    Branch(entries=('0.norm',), why='', single=())
    """
    if path not in dict(model.named_modules()):
        return Branch((), "nothing stands there until it is driven")
    leaf = model.get_submodule(path)
    if not type(leaf).__name__.endswith(_LAYERS):
        return Branch((), "not a drop path module")
    if getattr(leaf, "mode", "row") != "row":
        return Branch((), "it draws once for the whole batch")
    parts = path.split(".")
    for length in range(len(parts) - 1, max(-1, len(parts) - 1 - _LEVELS), -1):
        prefix = ".".join(parts[:length])
        block = model.get_submodule(prefix)
        if isinstance(block, (nn.ModuleList, nn.ModuleDict)):
            continue
        try:
            graph = trace(block)
        except Exception as error:  # noqa: BLE001, RUF100 - any code may run in a block's forward
            return Branch((), f"its block cannot be traced ({_first_line(error)})")
        exits = [node for node in _calls(graph) if _module(block, node) is leaf]
        if exits:
            return _branch(block, graph, exits, prefix)
    return Branch((), "no forward calls it")


def _branch(block: nn.Module, graph: fx.Graph, exits: list[fx.Node], prefix: str) -> Branch:
    found: list[tuple[list[fx.Node], fx.Node]] = []
    why = ""
    for leave in exits:
        inside = next((steps for node in _calls(graph) if (steps := _between(node, leave))), [])
        modules = [_module(block, node) for node in inside if node.op == "call_module"]
        if not inside:
            why = why or "no first module that all of its input passes"
        elif any(_mixes_samples(part) for module in modules for part in module.modules()):
            why = why or "BatchNorm: its statistics would be those of the kept samples"
        else:
            found.append((inside, leave))
    entries = tuple(_below(prefix, inside[0]) for inside, _ in found)
    if len(set(entries)) < len(entries):
        return Branch((), "its branches share their first module")
    if _overlap(found, exits):
        return Branch((), "its branches run side by side")
    further = (node.args[0] for branch in found for node in _escapes(*branch))
    return Branch(entries, why, tuple(_below(prefix, call) for call in further))


def _overlap(found: list[tuple[list[fx.Node], fx.Node]], exits: list[fx.Node]) -> bool:
    """Whether a branch is entered or left before the one entered before it is left.

    One drop path keeps the rows of one branch at a time.
    """
    marks = {*exits, *(inside[0] for inside, _ in found)}
    order = [node for node in exits[0].graph.nodes if node in marks]
    return any(order.index(leave) != order.index(inside[0]) + 1 for inside, leave in found)


def _below(prefix: str, call: Any) -> str:  # noqa: ANN401 - fx.Node, behind fx's own Any
    return ".".join(part for part in (prefix, str(call.target)) if part)


def _between(enter: fx.Node, leave: fx.Node) -> list[fx.Node]:
    """The steps from ``enter`` on that ``leave`` needs; none if ``enter`` is not its entry.

    It is one if everything that depends on its input reaches ``leave`` through it only, and if
    nothing but ``leave`` uses what it makes.
    """
    if enter is leave or not enter.all_input_nodes:
        return []
    given, *others = enter.all_input_nodes
    batched = {node for node in (*_ancestors(given), given) if node.type not in _NUMBERS}
    if not any(node.op == "placeholder" for node in batched) or not _keeps_rows(given):
        return []
    if any(_reaches(other, batched, stop=enter) for other in others):
        return []
    needed = _ancestors(leave, stop=enter)
    if enter not in needed:
        return []
    if any(_reaches(node, batched, stop=enter) for node in leave.all_input_nodes):
        return []
    inside = [node for node in enter.graph.nodes if node is enter or _descends(node, enter, needed)]
    calls_once = sum(node.target == enter.target for node in _calls(enter.graph)) == 1
    alone = all(_is_further_result(node) for node in _escapes(inside, leave))
    return inside if calls_once and alone else []


_NUMBERS = (int, float, bool, tuple[int, int])
"""Annotations of arguments that are the same for every sample: heights, widths, flags."""


def _escapes(inside: list[fx.Node], leave: fx.Node) -> list[fx.Node]:
    """What is made of a branch's steps other than what ``leave`` is given, and is used."""
    output = next(node for node in leave.graph.nodes if node.op == "output")
    used = {*_ancestors(output), output}
    needed = {*_ancestors(leave, stop=inside[0]), leave} if inside else set()
    users = dict.fromkeys(user for node in inside for user in node.users if user in used)
    return [user for user in users if user not in needed]


def _is_further_result(node: fx.Node) -> bool:
    """Whether a step takes from a module's results something but the first one."""
    if node.target is not getitem or getattr(node.args[0], "op", "") != "call_module":
        return False
    index = node.args[1]
    return _past_the_batch(index) and index not in (-1, -2)


def _reaches(node: fx.Node, sources: set[fx.Node], stop: fx.Node) -> bool:
    """Whether ``node`` depends on rows of ``sources`` other than through ``stop``."""
    seen: set[fx.Node] = set()
    stack = [node]
    while stack:
        node = stack.pop()
        if node is stop or node in seen or _is_size_of_a_sample(node):
            continue
        if node in sources:
            return True
        seen.add(node)
        stack += node.all_input_nodes
    return False


def _ancestors(node: fx.Node, stop: fx.Node | None = None) -> set[fx.Node]:
    """What ``node`` is made from, not looking behind ``stop``."""
    seen: set[fx.Node] = set()
    stack = list(node.all_input_nodes)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += [] if node is stop else node.all_input_nodes
    return seen


def _descends(node: fx.Node, enter: fx.Node, needed: set[fx.Node]) -> bool:
    return node in needed and enter in _ancestors(node, stop=enter)


def _keeps_rows(node: fx.Node) -> bool:
    """Whether the first dimension of a step is still the batch, as far as its code tells."""
    while node.op != "placeholder":
        inputs = [given for given in node.all_input_nodes if given.op != "get_attr"]
        if not inputs or not (node.op == "call_module" or _row_by_row(node)):
            return False
        node = inputs[0]
    return True


def _row_by_row(node: fx.Node) -> bool:
    name = str(getattr(node.target, "__name__", node.target)).strip("_")
    arguments = (*node.args[1:], *node.kwargs.values())
    if name in _ELEMENTWISE:
        return True
    if not arguments:
        return False
    if name == "getitem":  # of a module's outputs, or of every sample
        index = arguments[0]
        return isinstance(index, int) or (isinstance(index, tuple) and index[0] == slice(None))
    first = arguments[0][0] if isinstance(arguments[0], (tuple, list)) else arguments[0]
    if name in ("reshape", "view"):
        return _is_batch_size(first)
    if name == "permute":
        return bool(first == 0)
    if name in ("transpose", "swapaxes", "cat", "flatten"):
        return all(_past_the_batch(index) for index in arguments)
    return False


_ELEMENTWISE = {"add", "iadd", "sub", "mul", "imul", "truediv", "contiguous", "to", "clone"}
"""Steps on single numbers."""


def _is_batch_size(value: object) -> bool:
    if not isinstance(value, fx.Node):
        return False
    if value.target == "size":
        return bool(value.args[1:] == (0,))
    whole = value.args[0] if value.target is getitem else None
    return isinstance(whole, fx.Node) and _is_shape(whole) and bool(value.args[1] == 0)


def _is_shape(node: fx.Node) -> bool:
    shape = node.target is getattr and node.args[1] == "shape"
    return bool(shape or node.target == "size")


def _is_size_of_a_sample(node: fx.Node) -> bool:
    """Whether a step reads a size other than the batch's: the same for any number of rows."""
    if node.op == "call_method" and node.target == "size" and len(node.args) == 2:
        return _past_the_batch(node.args[1])
    whole = node.args[0] if node.target is getitem else None
    return isinstance(whole, fx.Node) and _is_shape(whole) and _past_the_batch(node.args[1])


def _past_the_batch(index: object) -> bool:
    if isinstance(index, slice):
        return _past_the_batch(index.start)
    return isinstance(index, int) and (index > 0 or index in (-1, -2))


def _mixes_samples(module: nn.Module) -> bool:
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return True
    norm = isinstance(module, nn.modules.instancenorm._InstanceNorm)
    return norm and bool(module.track_running_stats)


def _calls(graph: fx.Graph) -> Iterator[fx.Node]:
    return (node for node in graph.nodes if node.op == "call_module")


def _module(block: nn.Module, node: fx.Node) -> nn.Module:
    return block.get_submodule(str(node.target))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:100]
