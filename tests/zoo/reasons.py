"""Why a family has an exception, read in its code: by library, family and what was found."""

from __future__ import annotations

from collections.abc import Iterator

_RANDOM = "sparse attention draws its random blocks in forward"

REASONS: dict[tuple[str, str, str], str] = {
    ("timm", "coat", "dead"): "built and never called; a comment in its code says so",
    ("timm", "tnt", "fails"): (
        "built in place, it overwrites the softmax's output, which the gradient needs: timm's own "
        "`attn_drop_rate` above 0 does the same"
    ),
    ("timm", "vision_transformer_sam", "fails"): (
        "patch dropout takes tokens from a grid that relative positions need whole: timm's own "
        "`patch_drop_rate` above 0 raises"
    ),
    ("transformers", "big_bird", "random"): _RANDOM,
    ("transformers", "bigbird_pegasus", "random"): _RANDOM,
    ("transformers", "bigbird_pegasus", "unproven"): _RANDOM,
    ("transformers", "dac", "unproven"): (
        "`quantizer_dropout` counts samples on the host: `int(batch * rate)`"
    ),
    ("transformers", "efficientnet", "dead"): (
        "only blocks of stride 1 without `id_skip` call it, and most have another stride or a skip"
    ),
    ("transformers", "groupvit", "random"): "Gumbel noise assigns segments to groups",
    ("transformers", "oneformer", "unproven"): (
        "its encoder drops only with the config's `is_training` set, not in training mode"
    ),
    ("transformers", "pegasus_x", "failed"): (
        "a layer that its layer drop leaves out makes its forward raise"
    ),
    ("transformers", "pegasus_x", "fails"): (
        "a layer that its layer drop leaves out makes its forward raise"
    ),
    ("transformers", "pp_doclayout_v3", "unproven"): (
        "a condition in forward, on a module that is made only at build"
    ),
    ("transformers", "vilt", "random"): "patches are drawn by multinomial sampling",
    ("transformers", "xcodec", "failed"): (
        "its forward raises when layer drop leaves out every layer"
    ),
    ("transformers", "xcodec", "fails"): (
        "its forward raises when layer drop leaves out every layer"
    ),
}

_NO_RESIDUAL = "a block without residual connection, whose forward goes past its drop path"

_WITHOUT_RESIDUAL = {
    "timm": (
        "cpubone cspnext efficientnet ghostnet hardcorenas hgnet lowformer mobilenetv3 mobilenetv5 "
        "repghost rexnet xception_aligned"
    ),
    "torchvision": "efficientnet",
    "transformers": (
        "d_fine deimv2 hgnet_v2 pp_doclayout_v3 pp_doclayout_v4 pp_ocrv5_server_rec "
        "pp_ocrv6_small_rec pp_ocrv6_tiny_rec"
    ),
}


def _without_residual() -> Iterator[tuple[str, str, str]]:
    for library, families in _WITHOUT_RESIDUAL.items():
        for family in families.split():
            yield library, family, "dead"


REASONS |= dict.fromkeys(_without_residual(), _NO_RESIDUAL)
