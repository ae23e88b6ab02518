from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from droptime.errors import ConfigError, NoSiteError
from droptime.records import read_run
from droptime.training import Started, TrainConfig, train
from droptime.training.outline import outline, saved_bytes
from droptime.training.seeds import Streams

Tiny = Callable[..., TrainConfig]


def test_it_is_what_the_run_then_is(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(dropout="early(0.2, until=50%)", epochs=2)
    before = Streams.capture().tensors["cpu"]
    told = outline(config)
    assert torch.equal(Streams.capture().tensors["cpu"], before)
    heard: list[object] = []
    train(config, tmp_path, listen=heard.append)
    started = heard[0]
    assert isinstance(started, Started)
    assert told.clock.total_steps == started.total_steps
    assert told.parameters == started.parameters
    assert (told.train_images, told.test_images, told.classes) == (80, 30, 10)
    assert len(told.sites.driven("dropout")) == 9
    assert [row.lr for row in read_run(tmp_path).steps] == [
        told.lr(row.step) for row in read_run(tmp_path).steps
    ]


def test_counted_memory(tiny: Tiny) -> None:
    told = outline(tiny(ema_decay=0.9))
    floats = 4 * told.parameters
    memory = told.memory
    assert (memory.weights, memory.gradients, memory.moments, memory.average) == (
        floats,
        floats,
        2 * floats,
        floats,
    )
    assert memory.images == 110 * 64
    assert memory.total == 5 * floats + memory.images + memory.saved
    assert outline(tiny(memory_gb=0.0)).memory.images == 0


def test_saved_for_backward_is_what_autograd_keeps(tiny: Tiny) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3 * 16, 40), nn.Linear(40, 5)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.second(self.first(images.flatten(1)).relu())
            return output

    # The first layer keeps the images, ReLU and the second layer one array of 40 between them.
    kept = saved_bytes(Net(), tiny(batch_size=16), channels=3, size=4)
    assert kept == 16 * 4 * (48 + 40)
    assert saved_bytes(Net(), tiny(batch_size=16, accumulate=4), channels=3, size=4) == kept / 4


def test_masks_are_counted(tiny: Tiny) -> None:
    none, dropping = (outline(tiny(dropout=curve)) for curve in (None, "late(0.2, since=50%)"))
    assert dropping.memory.saved > none.memory.saved
    assert none.sites.driven("dropout") == ()


def test_what_cannot_work_is_said_without_training(tiny: Tiny) -> None:
    with pytest.raises(NoSiteError):
        outline(tiny(model="resnet18", model_args={}, image_size=32, dropout="standard(0.1)"))
    with pytest.raises(ConfigError, match="larger than the training set"):
        outline(tiny(batch_size=81))
    with pytest.raises(ConfigError, match="cannot take images of 12"):
        outline(tiny(image_size=12))
