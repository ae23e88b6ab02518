"""The paper's ways of dropping: a curve for each, and how sure its rate is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

from droptime.errors import ConfigError
from droptime.training.settings.config import TrainConfig

PAPER_ARMS = (
    "none",
    "standard-dropout",
    "early-dropout",
    "late-dropout",
    "standard-drop-path",
    "early-drop-path",
    "late-drop-path",
)


@dataclass(frozen=True)
class PaperRate:
    """A drop rate and where it is from.

    Attributes:
        rate: for stochastic depth, that of the last block.
        status: ``verified`` (in the authors' commands), ``reported`` (by others about the paper),
            ``unverified`` (the paper trained it, no source we could read has its rate) or
            ``not in the paper``.
    """

    rate: float
    status: str


_VERIFIED, _REPORTED, _UNVERIFIED, _ABSENT = (
    "verified",
    "reported",
    "unverified",
    "not in the paper",
)
_SMALL = ("vit_t16", "mixer_s32", "swin_f", "convnext_f")
_DEFAULTS = {"dropout": 0.1, "drop-path": 0.5}

_RATES: Mapping[tuple[str, str], PaperRate] = {
    ("standard-dropout", "vit_t16"): PaperRate(0.1, _VERIFIED),
    ("standard-dropout", "mixer_s32"): PaperRate(0.1, _REPORTED),
    ("standard-dropout", "swin_f"): PaperRate(0.1, _REPORTED),
    ("early-dropout", "vit_t16"): PaperRate(0.1, _VERIFIED),
    ("early-dropout", "mixer_s32"): PaperRate(0.1, _REPORTED),
    ("early-dropout", "swin_f"): PaperRate(0.1, _REPORTED),
    **{("standard-drop-path", model): PaperRate(0.1, _REPORTED) for model in _SMALL},
    ("standard-drop-path", "vit_b16"): PaperRate(0.4, _UNVERIFIED),
    ("standard-drop-path", "mixer_b16"): PaperRate(0.2, _UNVERIFIED),
    ("early-drop-path", "vit_t16"): PaperRate(0.5, _VERIFIED),
    ("early-drop-path", "mixer_s32"): PaperRate(0.5, _UNVERIFIED),
    ("early-drop-path", "swin_f"): PaperRate(0.5, _UNVERIFIED),
    ("early-drop-path", "convnext_f"): PaperRate(0.5, _UNVERIFIED),
    ("late-drop-path", "vit_b16"): PaperRate(0.4, _VERIFIED),
    ("late-drop-path", "mixer_b16"): PaperRate(0.2, _UNVERIFIED),
}


def paper_rate(arm: str, model: str) -> PaperRate:
    """Return the rate of an arm for a model of the paper, on ImageNet.

    Early stochastic depth of the models but ViT-T is said to have been picked among 0.3, 0.5 and
    0.7; 0.5 stands for it here. Swin-F's had the constant shape before publication. Mixer-B's
    0.2 is a guess. What the paper did not train has 0.1 for dropout, 0.5 for stochastic depth.

    Raises:
        ConfigError: there is no such arm.

    >>> paper_rate("early-dropout", "vit_t16")
    PaperRate(rate=0.1, status='verified')
    >>> paper_rate("late-drop-path", "mixer_b16")
    PaperRate(rate=0.2, status='unverified')
    """
    _check_arm(arm)
    _, _, kind = arm.partition("-")
    if not kind:
        return PaperRate(0.0, _VERIFIED)
    return _RATES.get((arm, model), PaperRate(_DEFAULTS[kind], _ABSENT))


def with_arm(
    config: TrainConfig, arm: str, *, rate: float | None = None, cutoff: str = "50ep"
) -> TrainConfig:
    """Return the config with one of the paper's ways of dropping, and that name.

    Early dropout falls linearly to 0 at the cutoff, late dropout jumps to its rate there. No arm
    drops both ways.

    Args:
        config: what is trained.
        arm: one of :data:`PAPER_ARMS`.
        rate: drop probability; by default :func:`paper_rate`.
        cutoff: where early ends and late begins.

    Raises:
        ConfigError: there is no such arm, the cutoff is past the end of the run, or the model is
            ConvNeXt-F, which the paper gives no dropout.

    >>> from droptime.training.settings.recipes import basic
    >>> with_arm(basic("vit_t16"), "early-drop-path").drop_path
    'early(0.5, until=50ep, shape=linear)'
    """
    _check_arm(arm)
    when, _, kind = arm.partition("-")
    if not kind:
        return replace(config, arm=arm, dropout=None, drop_path=None)
    if (kind, config.model) == ("dropout", "convnext_f"):
        raise ConfigError(f"{arm}: the paper trains convnext_f with stochastic depth only.")
    p = paper_rate(arm, config.model).rate if rate is None else rate
    curve = {
        "standard": f"standard({p})",
        "early": f"early({p}, until={cutoff})",
        "late": f"late({p}, since={cutoff})",
    }[when]
    dropout, drop_path = (curve, None) if kind == "dropout" else (None, curve)
    return replace(config, arm=arm, dropout=dropout, drop_path=drop_path)


def _check_arm(arm: str) -> None:
    if arm not in PAPER_ARMS:
        near = get_close_matches(arm, PAPER_ARMS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(PAPER_ARMS)}."
        raise ConfigError(f"The paper has no arm {arm!r}: {hint}")
