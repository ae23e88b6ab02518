"""From the name of a data set to its labelled images, split and limited, none decoded yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from droptime.errors import ConfigError, DataError
from droptime.training.data.digits import load_digits
from droptime.training.data.folder import load_folder
from droptime.training.data.named import load_named
from droptime.training.data.packed import load_packed, load_sprites
from droptime.training.data.shards import load_shards
from droptime.training.data.source import Source, Subset
from droptime.training.data.split import choose, hold_out
from droptime.training.data.tiny_imagenet import load_tiny_imagenet
from droptime.training.settings.config import TrainConfig

_PLACES: Mapping[str, Callable[[Path], tuple[Source, Source | None]]] = {
    "folder": load_folder,
    "npz": load_packed,
    "sprites": load_sprites,
    "wds": load_shards,
}
"""What may stand before the colon of ``data``, and its reader."""


def load_sources(config: TrainConfig) -> tuple[Source, Source]:
    """Read, split and limit the data set that ``config`` names; nothing is decoded yet.

    Raises:
        DataError: the data set is missing, empty or malformed.
        ConfigError: ``test_fraction`` is given and the data has a test set of its own.
    """
    return _limited(config, *read_sources(config))


def read_sources(config: TrainConfig) -> tuple[Source, Source | None]:
    """Return the training set and, where the data has one, the set to test on.

    Raises:
        DataError: the data set is missing, empty or malformed.
    """
    if config.data == "digits":
        return load_digits(), None
    if config.data == "tiny_imagenet":
        return load_tiny_imagenet(Path(config.data_dir or ".").expanduser())
    kind, _, place = config.data.partition(":")
    if place and kind in _PLACES:
        return _PLACES[kind](Path(place).expanduser())
    return load_named(
        config.data,
        root=config.data_dir,
        splits=(config.train_split, config.test_split),
        download=config.download,
    )


def _limited(config: TrainConfig, train: Source, test: Source | None) -> tuple[Source, Source]:
    if len(train.classes) < 2:
        raise DataError(f"{config.data} has one class only: there is nothing to tell apart.")
    if test is None:
        kept, held = hold_out(
            train.labels, config.test_fraction, seed=config.data_seed, classes=train.classes
        )
        train, test = Subset(train, kept), Subset(train, held)
    elif config.test_fraction != TrainConfig.test_fraction:
        raise ConfigError(
            f"test_fraction={config.test_fraction} does nothing: {config.data} has a test set of "
            "its own. Leave it out, or name the training images alone."
        )
    return (
        _subset(train, config.train_limit, "train_limit", seed=config.data_seed),
        _subset(test, config.test_limit, "test_limit", seed=config.data_seed),
    )


def _subset(source: Source, limit: int | None, setting: str, *, seed: int) -> Source:
    if limit is None:
        return source
    try:
        return Subset(source, choose(source.labels, limit, seed=seed))
    except DataError as error:
        raise DataError(f"{setting}={limit}: {error}") from error
