"""``KEY=VALUE`` options, their values as JSON has them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from droptime.errors import ConfigError
from droptime.records import JSON


def read_pairs(option: str, texts: Sequence[str]) -> dict[str, JSON]:
    """Read ``KEY=VALUE`` texts; a value that is not JSON is text.

    Raises:
        ConfigError: a text has another form, or a key comes twice.

    >>> read_pairs("--model-args", ["img_size=8", "global_pool=avg"])
    {'img_size': 8, 'global_pool': 'avg'}
    """
    pairs: dict[str, JSON] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise ConfigError(f"{option} {text!r}: expected KEY=VALUE.")
        if key in pairs:
            raise ConfigError(f"{option} gives {key!r} twice.")
        try:
            pairs[key] = json.loads(value)
        except ValueError:
            pairs[key] = value
    return pairs
