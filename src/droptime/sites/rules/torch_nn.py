"""torch.nn: dropout modules, attention's float, recurrent nets."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from torch import nn

from droptime.sites.grips import PlainFloat, TensorFloat, dropout_layer
from droptime.sites.kinds import dropout_kind
from droptime.sites.registry import BAKED, Found
from droptime.sites.site import ATTENTION, ELEMENT

_HELD_DROPOUTS = (
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
UNTRACED = "torch.compile leaves it in eager; with torch's allow_rnn it drops nothing"
"""What to know of recurrent nets: measured with torch 2.15, driven or not."""


def torch_dropout(module: nn.Module, path: str) -> Iterator[Found]:
    """``nn.Dropout`` and its relatives."""
    if type(module) is nn.Dropout:
        grip = functools.partial(dropout_layer, module, "p")
        yield Found(module, "p", dropout_kind(path), module.p, grip)
    elif type(module) in _HELD_DROPOUTS:
        tensor = functools.partial(TensorFloat, module, "p")
        yield Found(module, "p", dropout_kind(path), vars(module)["p"], tensor)
    elif isinstance(module, nn.modules.dropout._DropoutNd) and "p" in vars(module):
        plain = functools.partial(PlainFloat, module, "p")
        yield Found(module, "p", dropout_kind(path), module.p, plain, note=BAKED)


def torch_attention(module: nn.Module, path: str) -> Iterator[Found]:
    """``nn.MultiheadAttention``: a float, not a module."""
    if isinstance(module, nn.MultiheadAttention):
        grip = functools.partial(TensorFloat, module, "dropout")
        yield Found(module, "dropout", ATTENTION, module.dropout, grip)


def torch_recurrent(module: nn.Module, path: str) -> Iterator[Found]:
    """RNN, LSTM and GRU: dropout between layers, so none with a single layer."""
    if isinstance(module, nn.RNNBase):
        grip = functools.partial(PlainFloat, module, "dropout")
        if module.num_layers > 1:
            yield Found(module, "dropout", ELEMENT, module.dropout, grip, note=UNTRACED)
        else:
            note = "drops between layers, and there is one"
            yield Found(module, "dropout", ELEMENT, module.dropout, None, state="dead", note=note)
