"""The rules droptime ships, in order of precedence: the first that claims a rate wins."""

from droptime.sites.registry import Rule
from droptime.sites.rules import (
    functional,
    ours,
    peft,
    placeholders,
    torch_nn,
    transformers,
    vision,
)

SHIPPED: tuple[Rule, ...] = (
    ours.own_layers,
    peft.adapter_dropout,
    peft.adapter_floats,
    transformers.layer_drop,
    transformers.head_dropout,
    functional.attention_dropout,
    vision.inception_heads,
    torch_nn.torch_dropout,
    torch_nn.torch_attention,
    vision.drawn_by_the_library,
    ours.held,
    torch_nn.torch_recurrent,
    vision.stochastic_depth,
    placeholders.placeholders,
    placeholders.empty_slots,
    vision.patch_dropout,
    vision.smp_encoder,
    transformers.own_floats,
    functional.functional_dropout,
    functional.config_dropout,
)
