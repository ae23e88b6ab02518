"""The rules droptime ships, in order of precedence: the first that claims a rate wins."""

from droptime.sites.registry import Rule
from droptime.sites.rules import functional, ours, placeholders, torch_nn, vision

SHIPPED: tuple[Rule, ...] = (
    ours.own_layers,
    functional.fused_attention,
    vision.inception_heads,
    torch_nn.torch_dropout,
    torch_nn.torch_attention,
    ours.held,
    torch_nn.torch_recurrent,
    vision.stochastic_depth,
    placeholders.placeholders,
    placeholders.empty_slots,
    vision.library_floats,
    functional.functional_dropout,
)
