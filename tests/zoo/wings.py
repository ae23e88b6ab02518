"""The wings of the zoo: for each library, what there is to count and what to examine."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata

from tests.zoo import timm_models, torchvision_models
from tests.zoo.census import Counted
from tests.zoo.specimen import Specimen

LIBRARIES = ("timm", "torchvision", "transformers")

_WINGS = {"timm": timm_models, "torchvision": torchvision_models}


def version(library: str) -> str:
    """The installed version, without the build."""
    return metadata.version(library).split("+")[0]


def names(library: str) -> list[tuple[str, str, str]]:
    """``(library, family, model)`` of every model to count."""
    wing = _WINGS.get(library)
    families = wing.families() if wing else {}
    return [(library, family, name) for family, names in families.items() for name in names]


def count_one(name: tuple[str, str, str]) -> Counted:
    """Build one model on the meta device and count its sites."""
    library, family, model = name
    counted: Counted = _WINGS[library].counted(family, model)
    return counted


def specimens(library: str, census: Iterable[Counted]) -> list[Specimen]:
    """One specimen for each family: its smallest model; transformers chooses its own."""
    if library == "transformers":
        from tests.zoo import transformers_models

        return list(transformers_models.specimens())
    smallest: dict[str, Counted] = {}
    for one in census:
        best = smallest.get(one.family)
        if not one.error and (best is None or _size(one) < _size(best)):
            smallest[one.family] = one
    wing = _WINGS[library]
    chosen = {one.family: one.name for one in smallest.values()} | wing.MEMBERS
    return [wing.specimen(family, name) for family, name in chosen.items()]


def unbuilt(library: str) -> dict[str, str]:
    """Families without a specimen, and why."""
    if library != "transformers":
        return {}
    from tests.zoo import transformers_models

    return transformers_models.unbuilt()


def _size(one: Counted) -> tuple[int, str]:
    return one.parameters, one.name
