"""Selectors of ``rates=``: which sites they name, and what the errors say of those they do not."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from droptime import DropScheduler, find_sites, plan
from droptime.errors import ClosedSiteError, NoSiteError, SiteError
from droptime.sites import Site
from droptime.sites.selectors import read_selector, select


def _site(path: str, kind: str = "element") -> Site:
    return Site(path, kind, "p", 0.0, "open")


@pytest.fixture(scope="module")
def vit() -> nn.Module:
    with torch.device("meta"):
        model: nn.Module = timm.create_model("vit_tiny_patch16_224", depth=12)
    return model


MATCHES = [
    ("attention", _site("a.b", "attention")),
    ("mine", _site("a.b", "mine")),
    ("blocks.0-5.*", _site("blocks.5.mlp.drop1")),
    ("blocks/0-5/*", _site("blocks.5.mlp.drop1")),
    ("blocks.0,3-5.*", _site("blocks.4.drop")),
    ("blocks.{0,3-5}.*", _site("blocks.0.drop")),
    ("stages.1-2.blocks.0-1.*", _site("stages.2.blocks.0.drop")),
    ("*.0-1.*", _site("stages.7.blocks.1.drop")),
    ("features.block{1-3}.*", _site("features.block2.drop")),
    ("blocks.0-5.*:attention", _site("blocks.1.attn.drop", "attention")),
    ("*:mine", _site("a.b", "mine")),
    ("blocks.[01].dro?", _site("blocks.1.drop")),
    ("blocks.[!0].drop", _site("blocks.1.drop")),
    ("a.b.p", _site("a.b")),
    ("p", _site("")),
]
MISSES = [
    ("attention", _site("a.attention.b")),
    ("blocks.0-5.*", _site("blocks.6.drop")),
    ("blocks.0-5.*", _site("blocks.15.drop")),
    ("blocks.0-5.*", _site("blocks.50.drop")),
    ("blocks.0-5", _site("blocks.3.drop")),
    ("features.block{1-3}*", _site("features.block12.drop")),
    ("blocks.0-5.*:attention", _site("blocks.1.mlp.drop")),
    ("blocks.0-5.*:attention", _site("blocks.6.attn.drop", "attention")),
    ("blocks.[!0].drop", _site("blocks.0.drop")),
    ("a+b", _site("aab")),
]


@pytest.mark.parametrize(("selector", "site"), MATCHES)
def test_names(selector: str, site: Site) -> None:
    assert read_selector(selector).matches(site)


@pytest.mark.parametrize(("selector", "site"), MISSES)
def test_does_not_name(selector: str, site: Site) -> None:
    assert not read_selector(selector).matches(site)


UNREADABLE = {
    "": "names no site",
    ":attention": "names no site",
    "blocks.*:": "names no site",
    "blocks.5-0.*": "'5-0' is not a range of numbers: write the smaller one first",
    "blocks.0-5-7.*": "'0-5-7' is not a range",
    "blocks.{a}.*": "'a' is not a range",
    "blocks.{}.*": "'' is not a range",
    "blocks.0-99999.*": "more than 10,000 numbers: write '\\*'",
    "blocks.[z-a].*": "is no pattern of paths: bad character range",
}


@pytest.mark.parametrize("selector", UNREADABLE)
def test_what_cannot_be_read(selector: str) -> None:
    with pytest.raises(SiteError, match=UNREADABLE[selector]):
        read_selector(selector)


def test_only_text_is_a_selector() -> None:
    with pytest.raises(SiteError, match="0 is not a selector"):
        read_selector(0)  # type: ignore[arg-type]


NEAR = {
    "atention": "Did you mean 'attention'?",
    "blocks.0-5": "Did you mean 'blocks.0-5.*'?",
    "blocks.3:attention": "Did you mean 'blocks.3.*:attention'?",
    "block.{0-11}.mlp.drop1": "'blocks.{0-11}.mlp.drop1'",
    "head_dorp": "'head_drop'",
    "qqqqq": "It has: attention (open), drop_path (closed)",
    "blocks.0-3.*:lora": "of kind 'lora'; they are of kind 'attention' and 'drop_path' and",
}


@pytest.mark.parametrize("selector", NEAR)
def test_nothing_matched_lists_what_is_near(selector: str, vit: nn.Module) -> None:
    with pytest.raises(NoSiteError) as caught:
        plan(vit, rates=[selector])
    assert NEAR[selector] in str(caught.value)


def test_the_paths_a_plan_prints_are_selectors(vit: nn.Module) -> None:
    text = str(plan(vit))
    printed = [line.split()[0] for line in text.splitlines()[1:-1]]
    assert "blocks.{1-11}.drop_path1" in printed
    for path, line in zip(printed, text.splitlines()[1:-1], strict=True):
        assert f"  {len(select(path, find_sites(vit)))}  " in line


def test_a_selector_of_dead_sites_only_says_why() -> None:
    with torch.device("meta"):
        model = timm.create_model("convnext_femto")
    with pytest.raises(NoSiteError, match="cannot be driven: drop_rate is dead: a record of how"):
        plan(model, rates=["drop_rate"])


def test_a_selector_of_a_sealed_site_says_why(vit: nn.Module) -> None:
    with pytest.raises(ClosedSiteError, match="build the model with patch_drop_rate above 0"):
        DropScheduler(vit, rates={"patch": "standard(0.1)"})


def test_two_selectors_on_one_site_are_refused(vit: nn.Module) -> None:
    with pytest.raises(SiteError, match="matched by 'attention' and by 'blocks/0/\\*'"):
        plan(vit, rates=["attention", "blocks/0/*"])


def test_a_range_drives_its_blocks_and_no_others() -> None:
    model = timm.create_model("vit_tiny_patch16_224", depth=12)
    drop = DropScheduler(model, rates={"blocks.0-2.*:attention": "standard(0.3)"})
    rates = [block.attn.attn_drop.p for block in model.blocks]
    drop.close()
    assert rates == pytest.approx([0.3] * 3 + [0.0] * 9)
