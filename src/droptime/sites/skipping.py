"""Let the branches that end in a drop path run only on the samples that keep them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from droptime.errors import SiteError
from droptime.layers import DropPath, SkipPath
from droptime.sites.branches import Branch, find_branch
from droptime.sites.grips import Grip


class Skipping:
    """A grip on a drop path that also lets its branches skip what they drop.

    Args:
        grip: the grip that has taken hold of the drop path.
        layer: the drop path.
        entries: the first modules of its branches; if there are none, only masks are drawn here.
        single: modules inside that must return one tensor only.
        fixed: keep a fixed count of samples, see :class:`~droptime.layers.SkipPath`.
    """

    def __init__(
        self,
        grip: Grip,
        layer: DropPath,
        *,
        entries: Sequence[nn.Module],
        single: Sequence[nn.Module] = (),
        fixed: bool,
    ) -> None:
        layer.__class__ = SkipPath
        assert isinstance(layer, SkipPath)
        layer.become(fixed)
        self.grip, self.layer = grip, layer
        self.hooks = [
            entry.register_forward_pre_hook(layer.enter, with_kwargs=True) for entry in entries
        ]
        self.hooks += [module.register_forward_hook(layer.refuse_more) for module in single]

    def write(self, rate: float) -> None:
        """Set the drop probability."""
        self.grip.write(rate)

    def release(self) -> None:
        """Take the hooks out and give the drop path back as it was found."""
        for hook in self.hooks:
            hook.remove()
        self.layer.become_drop_path()
        self.grip.release()


def find_branches(model: nn.Module, paths: Sequence[str]) -> dict[str, Branch]:
    """The branches that end in each of these drop paths. Changes nothing.

    Raises:
        SiteError: none of them can be skipped; the message gives the reasons.
    """
    branches = {path: find_branch(model, path) for path in paths}
    if not any(branch.entries for branch in branches.values()):
        reasons = "".join(
            f"\n  {path}: {why}"
            for why, path in {branch.why: path for path, branch in branches.items()}.items()
        )
        raise SiteError(
            "skip= finds no branch of this model that can be skipped:"
            f"{reasons or ' no curve drives a drop path.'}\n"
            "Leave skip= out: the branches are then computed for every sample, and masked."
        )
    return branches


def skip_what_drops(
    model: nn.Module, grip: Grip, *, path: str, branch: Branch, fixed: bool
) -> Grip:
    """Make a grip on the drop path ``path`` skip; unchanged where there is nothing to change."""
    layer = model.get_submodule(path)
    if not isinstance(layer, DropPath) or not (branch.entries or fixed):
        return grip
    entries = [model.get_submodule(entry) for entry in branch.entries]
    single = [model.get_submodule(module) for module in branch.single]
    return Skipping(grip, layer, entries=entries, single=single, fixed=fixed)


def skip_note(branch: Branch) -> str:
    """What a plan says of a branch."""
    if not branch.entries:
        return f"masked: {branch.why}"
    names = dict.fromkeys(entry.rsplit(".", 1)[-1] for entry in branch.entries)
    rest = f"; its other branch masked: {branch.why}" if branch.why else ""
    return f"skipped from {', '.join(names)} on{rest}"
