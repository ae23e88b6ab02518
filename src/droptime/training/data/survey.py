"""Every split of a data set as it lies there, with what is wrong before any image is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from droptime.training.data.findings import ERROR, WARNING, Finding
from droptime.training.data.folder import (
    TEST_NAMES,
    Folder,
    check_folder,
    class_folders,
    files_below,
    is_image,
)
from droptime.training.data.source import Source
from droptime.training.data.sources import read_sources
from droptime.training.settings.config import TrainConfig


@dataclass(frozen=True)
class Survey:
    """Splits by name, and what was found wrong on the way."""

    splits: Mapping[str, Source]
    findings: tuple[Finding, ...]


def survey(config: TrainConfig) -> Survey:
    """List the images of the data set that ``config`` names; folders with all their faults.

    Raises:
        DataError: nothing can be listed at all.
    """
    if config.data.startswith("folder:"):
        return _folder(Path(config.data.removeprefix("folder:")).expanduser())
    train, test = read_sources(config)
    splits = {"train": train} if test is None else {"train": train, "test": test}
    return Survey(splits, ())


def _folder(path: Path) -> Survey:
    check_folder(path)
    parts = [name for name in ("train", *TEST_NAMES) if (path / name).is_dir()]
    roots = {name: path / name for name in parts} or {"all": path}
    splits, findings = {}, []
    for name, root in roots.items():
        splits[name], found = _split(root)
        findings += found
    if "all" not in roots and "train" not in roots:
        why = f"{path} has {parts[0]} but no train: add it"
        findings.append(Finding(ERROR, "no train folder", why, (str(path),)))
    if unused := parts[2:] if "train" in roots else []:
        why = f"tested on {parts[1]} alone: not read are {', '.join(unused)}"
        findings.append(Finding(WARNING, "folder not used", why, tuple(unused)))
    return Survey(splits, (*findings, *_classes_of_one_split(splits)))


def _split(root: Path) -> tuple[Folder, list[Finding]]:
    folders = class_folders(root)
    paths, labels, empty, other = [], [], [], []
    for label, folder in enumerate(folders):
        files = files_below(folder)
        images = [file for file in files if is_image(file)]
        other += [str(file) for file in files if not is_image(file)]
        paths += images
        labels += [label] * len(images)
        if not images:
            empty.append(str(folder))
    lost = [str(item) for item in sorted(root.iterdir()) if item.is_file() and is_image(item)]
    findings = [
        Finding(ERROR, "empty class", "a class folder holds no image", tuple(empty)),
        Finding(WARNING, "no image file", "its name ends like no image: it is not read", (*other,)),
        Finding(WARNING, "outside classes", "the image lies in no class: it is not read", (*lost,)),
    ]
    names = tuple(folder.name for folder in folders)
    source = Folder(tuple(paths), np.array(labels, dtype=np.int64), names)
    return source, [finding for finding in findings if finding.names]


def _classes_of_one_split(splits: Mapping[str, Source]) -> list[Finding]:
    everywhere = set.intersection(*(set(source.classes) for source in splits.values()))
    findings = []
    for name, source in splits.items():
        if only := sorted(set(source.classes) - everywhere):
            why = f"{name} has a class that another split lacks"
            findings.append(Finding(ERROR, "class of one split", why, tuple(only)))
    return findings
