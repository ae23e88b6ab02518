from __future__ import annotations

import pytest

from droptime.errors import ConfigError
from droptime.training import digits, paper_rate, ready, with_arm


def test_an_arm_that_the_paper_has_not_is_refused_with_the_nearest() -> None:
    said = "no arm 'early-dropuot': did you mean early-dropout"
    with pytest.raises(ConfigError, match=said):
        paper_rate("early-dropuot", "vit_t16")
    with pytest.raises(ConfigError, match=said):
        with_arm(digits(), "early-dropuot")


def test_the_arm_without_drop_has_rate_0() -> None:
    assert paper_rate("none", "vit_t16").rate == 0.0


def test_a_recipe_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no recipe 'digit': did you mean 'digits'"):
        ready("digit")
    with pytest.raises(ConfigError, match="there is digits, cifar10"):
        ready("zzz")
