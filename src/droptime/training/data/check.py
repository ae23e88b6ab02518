"""Read a data set whole and say what is wrong with it."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base

from droptime.training.data.findings import ERROR, WARNING, Finding
from droptime.training.data.source import Source, in_mode
from droptime.training.data.survey import survey
from droptime.training.settings.config import TrainConfig

_UNBALANCED = 10


@dataclass(frozen=True)
class Report:
    """What a data set holds and what is wrong with it.

    Attributes:
        data: its name.
        splits: split -> number of images.
        classes: number of classes.
        findings: errors first.
    """

    data: str
    splits: Mapping[str, int]
    classes: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What must be mended."""
        return tuple(finding for finding in self.findings if finding.severity == ERROR)


@dataclass(frozen=True)
class _Seen:
    """One image as it was read."""

    split: str
    label: int
    name: str
    mode: str = ""
    sides: tuple[int, int] = (0, 0)
    digest: bytes = b""
    flat: bool = False
    turned: bool = False
    trouble: str = ""
    complaint: str = ""


def check_data(config: TrainConfig, *, min_side: int = 16) -> Report:
    """Decode every image of the data set that ``config`` names and collect what is wrong.

    Errors are what training stops at: an image that cannot be read to its end, a class without
    images, a class that one split lacks, one class alone, a class of one image where some are to be
    held out. Warnings: one image under two labels, in two splits or twice in one, images of
    different modes, images smaller than ``min_side``, images of one colour, images that their
    EXIF data say to turn, what Pillow complains about, classes ten times as large as others,
    files not read.

    Images are the same if their decoded pixels are. Cost: every image is decoded once, one at a
    time.

    Raises:
        DataError: nothing can be listed at all.
    """
    listed = survey(config)
    seen = [
        _look(split, source, index)
        for split, source in listed.splits.items()
        for index in range(len(source.labels))
    ]
    whole = [one for one in seen if not one.trouble]
    findings = [
        *listed.findings,
        *_too_few(listed.splits),
        *_unreadable(seen),
        *_same_images(whole),
        *_modes(whole),
        *_listed(whole, min_side),
        *_unbalanced(listed.splits),
    ]
    return Report(
        config.data,
        {name: len(source.labels) for name, source in listed.splits.items()},
        len(next(iter(listed.splits.values())).classes),
        tuple(sorted(findings, key=lambda finding: finding.severity != ERROR)),
    )


def _look(split: str, source: Source, index: int) -> _Seen:
    label, name = int(source.labels[index]), source.name(index)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with source.open(index) as image:
                image.load()
                pixels = np.asarray(in_mode(image, "RGB"))
                mode, sides = image.mode, image.size
                turned = image.getexif().get(Base.Orientation, 1) != 1
    except UnidentifiedImageError:
        return _Seen(split, label, name, trouble="no image that Pillow knows")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return _Seen(split, label, name, trouble=str(error))
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
    flat = bool((pixels == pixels[:1, :1]).all())
    complaint = "; ".join(dict.fromkeys(str(one.message) for one in caught))
    return _Seen(split, label, name, mode, sides, digest, flat, turned, complaint=complaint)


def _too_few(splits: Mapping[str, Source]) -> Iterator[Finding]:
    classes = next(iter(splits.values())).classes
    if len(classes) < 2:
        yield Finding(ERROR, "one class", "there is nothing to tell apart", classes)
    if len(splits) == 1:
        (source,) = splits.values()
        counts = Counter(source.labels.tolist())
        if alone := tuple(source.classes[label] for label, n in counts.items() if n == 1):
            why = "without a test set some images are held out, which takes two of each class"
            yield Finding(ERROR, "one image", why, alone)


def _unreadable(seen: list[_Seen]) -> Iterator[Finding]:
    names = tuple(f"{one.name} ({one.trouble})" for one in seen if one.trouble)
    if names:
        why = "training stops at an image that cannot be read to its end"
        yield Finding(ERROR, "unreadable", why, names)


def _same_images(seen: list[_Seen]) -> Iterator[Finding]:
    groups: dict[bytes, list[_Seen]] = defaultdict(list)
    for one in seen:
        groups[one.digest].append(one)
    shared = [group for group in groups.values() if len(group) > 1]
    at_odds = [group for group in shared if len({one.label for one in group}) > 1]
    if at_odds:
        why = "the same image has two labels"
        yield Finding(WARNING, "two labels", why, tuple(map(_equal, at_odds)))
    for first, second in combinations(dict.fromkeys(one.split for one in seen), 2):
        across = [group for group in shared if {first, second} <= {one.split for one in group}]
        if across:
            why = f"the same image is in {first} and in {second}: what is tested was trained on"
            yield Finding(WARNING, "in two splits", why, tuple(map(_equal, across)))
    twice = [group for group in shared if _repeats(group) and group not in at_odds]
    if twice:
        why = "the same image comes more than once in a split"
        yield Finding(WARNING, "repeated", why, tuple(map(_equal, twice)))


def _repeats(group: list[_Seen]) -> bool:
    return max(Counter(one.split for one in group).values()) > 1


def _equal(group: list[_Seen]) -> str:
    return " = ".join(one.name for one in group)


def _modes(seen: list[_Seen]) -> Iterator[Finding]:
    counts = Counter(one.mode for one in seen)
    if len(counts) > 1:
        why = "images differ in mode; all become RGB (or grey, for a model of one channel)"
        names = tuple(f"{count:,} of {mode}" for mode, count in counts.most_common())
        yield Finding(WARNING, "modes", why, names)


def _listed(seen: list[_Seen], min_side: int) -> Iterator[Finding]:
    small = [f"{one.name} {one.sides}" for one in seen if min(one.sides) < min_side]
    kinds = {
        "small": (f"a side is shorter than {min_side} pixels", small),
        "one colour": ("all pixels are alike", [one.name for one in seen if one.flat]),
        "turned": (
            "EXIF data say to turn it; training takes the pixels as they are stored",
            [one.name for one in seen if one.turned],
        ),
        "complaint": (
            "Pillow reads it, with a complaint",
            [f"{one.name} ({one.complaint})" for one in seen if one.complaint],
        ),
    }
    for kind, (why, names) in kinds.items():
        if names:
            yield Finding(WARNING, kind, why, tuple(names))


def _unbalanced(splits: Mapping[str, Source]) -> Iterator[Finding]:
    for name, source in splits.items():
        counts = Counter(source.labels.tolist())
        if counts and max(counts.values()) >= _UNBALANCED * min(counts.values()):
            (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
            why = f"one class of {name} has {_UNBALANCED} times the images of another, or more"
            names = (f"{source.classes[most]}: {many:,}", f"{source.classes[least]}: {few:,}")
            yield Finding(WARNING, "unbalanced", why, names)
