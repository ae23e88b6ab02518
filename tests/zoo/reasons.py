"""Why a family has an exception, read in its code: by library and family."""

from __future__ import annotations

REASONS: dict[tuple[str, str], str] = {
    ("transformers", "groupvit"): "Gumbel noise assigns segments to groups",
    ("transformers", "vilt"): "patches are drawn by multinomial sampling",
    ("transformers", "pegasus_x"): "a layer that its layer drop leaves out makes its forward raise",
    ("transformers", "xcodec"): "its forward raises when layer drop leaves out every layer",
    ("transformers", "oneformer"): (
        "its encoder drops only with the config's is_training set, not in training mode"
    ),
    ("transformers", "big_bird"): "sparse attention draws its random blocks in forward",
    ("transformers", "bigbird_pegasus"): "sparse attention draws its random blocks in forward",
    (
        "transformers",
        "pp_doclayout_v3",
    ): "a condition in forward, on a module that is made only at build",
    ("transformers", "dac"): "quantizer_dropout counts samples on the host: int(batch * rate)",
}
