"""What ``droptime dynamics --checkpoint FILE`` does: measure weights that come without a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from droptime.cli.gradients_table import gradients_table
from droptime.errors import ConfigError
from droptime.records import JSON, DynamicsRow, Estimate
from droptime.records.dynamics import dynamics_json
from droptime.training import TrainConfig
from droptime.training.models.start import whole_weights
from droptime.training.trainer import Trainer


def measure_weights(
    file: Path, settings: Mapping[str, JSON], *, dropout: float | None, as_json: bool
) -> None:
    """Measure a weight file of a model on data, with dropout and without if a rate is given.

    Raises:
        ConfigError: no data or model is given, or the weights are not of that model.
        CheckpointError: the file cannot be read.
    """
    for needed in ("data", "model"):
        if needed not in settings:
            raise ConfigError(
                f"No --{needed} given: weights alone do not say it. droptime dynamics --model "
                f"vit_tiny_patch16_224 --data folder:PATH --checkpoint {file}"
            )
    curve = {} if dropout is None else {"dropout": f"standard({dropout})"}
    config = TrainConfig.from_dict({**settings, **curve, "probe_every": 1})
    trainer = Trainer(config, file.parent, listen=lambda _: None)
    weights = whole_weights(file, trainer.engine.bare, config)
    row = _without_distance(trainer.gradients_at(weights, 0))
    if as_json:
        told = {"checkpoint": str(file), "model": config.model, "data": config.data}
        print(json.dumps({**told, "rows": [dynamics_json(row)]}, indent=2))
    else:
        Console(highlight=False).print(gradients_table([row]))


def _without_distance(row: DynamicsRow) -> DynamicsRow:
    """Leave out how far the weights have come: nobody knows from where."""

    def rest(values: Mapping[str, Estimate]) -> dict[str, Estimate]:
        return {name: found for name, found in values.items() if name != "distance"}

    groups = {name: rest(values) for name, values in row.groups.items()}
    return replace(row, values=rest(row.values), groups=groups)
