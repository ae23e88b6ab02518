"""Plain text tables, and many numbered paths as one."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence


def template(path: str) -> str:
    """A dotted path with its numbers blanked: paths that differ only in numbers share it.

    A number is a whole part, or the end of a part that others follow.

    >>> template("blocks.0.drop1"), template("encoder.layer_3.mlp.2")
    ('blocks.#.drop1', 'encoder.layer_#.mlp.#')
    """
    return re.sub(r"\d+(?=\.)|(?<![^.])\d+$", "#", path)


def numbered(paths: Sequence[str]) -> str:
    """Paths of one template as one.

    >>> numbered(["blocks.0.drop", "blocks.1.drop", "blocks.5.drop"])
    'blocks.{0-1,5}.drop'
    >>> numbered(["layer1.0.drop", "layer2.1.drop"])
    'layer{1-2}.{0-1}.drop'
    """
    columns = zip(*(path.split(".") for path in paths), strict=True)
    return ".".join(_numbers(column) for column in columns)


def _numbers(column: Sequence[str]) -> str:
    if len(set(column)) == 1:
        return column[0]
    name = column[0].rstrip("0123456789")
    numbers = sorted({int(part.removeprefix(name)) for part in column})
    runs = itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    spans = [[number for _, number in run] for _, run in runs]
    texts = (str(span[0]) if len(span) == 1 else f"{span[0]}-{span[-1]}" for span in spans)
    return name + "{" + ",".join(texts) + "}"


def aligned(table: Sequence[Sequence[str]], *, right: Collection[int]) -> list[str]:
    """Lines with columns of one width, those of ``right`` flush right."""
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
