from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from droptime.errors import ConfigError, DataError
from droptime.training import TrainConfig
from droptime.training.data import ImageData, load_data
from droptime.training.data.folder import load_folder
from droptime.training.data.source import decode

CPU = torch.device("cpu")


def draw(path: Path, *, grey: int = 100, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = np.linspace(grey, grey + 50, size[0] * size[1]).astype(np.uint8).reshape(size[::-1])
    Image.fromarray(shade).convert(mode).save(path)
    return path


@pytest.fixture
def splits(tmp_path: Path) -> Path:
    for split, count in (("train", 3), ("val", 2)):
        for shade, name in enumerate(("ant", "bee")):
            for index in range(count):
                draw(tmp_path / split / name / f"{index}.png", grey=50 + 40 * shade + index)
    return tmp_path


def load(path: Path, **settings: object) -> ImageData:
    config = TrainConfig.from_dict({"data": f"folder:{path}", "image_size": 8, **settings})  # type: ignore[dict-item]
    return load_data(config, expected_size=8, device=CPU)


def test_splits_in_the_order_of_their_names(splits: Path) -> None:
    data = load(splits)
    assert data.classes == ("ant", "bee")
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    images, labels = next(data.train.batches([torch.arange(4)]))
    assert images.shape == (4, 3, 8, 8)
    assert images.dtype == torch.uint8
    assert labels.tolist() == [0, 0, 0, 1]
    assert images[:, 0, 0, 0].tolist() == [50, 51, 52, 90]


def test_a_test_folder_goes_before_val(splits: Path) -> None:
    for name in ("ant", "bee"):
        draw(splits / "test" / name / "0.png", grey=1)
    assert load_folder(splits)[1].paths[0] == splits / "test" / "ant" / "0.png"  # type: ignore[union-attr]


def test_without_splits_a_seeded_part_is_held_out(splits: Path) -> None:
    data = load(splits / "train", test_fraction=0.34)
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    assert data.test.labels.tolist() == [0, 1]


def test_a_part_is_not_held_out_beside_a_test_set(splits: Path) -> None:
    with pytest.raises(ConfigError, match=r"test_fraction=0.34 does nothing: .* has a test set"):
        load(splits, test_fraction=0.34)


def test_statistics_are_those_of_the_training_images(splits: Path) -> None:
    data = load(splits)
    images, _ = next(data.train.batches([torch.arange(6)]))
    pixels = images.double()
    assert torch.allclose(data.mean.double(), pixels.mean((0, 2, 3)))
    assert torch.allclose(data.std.double(), pixels.std((0, 2, 3), correction=0), rtol=1e-6)


def test_images_become_centred_squares(tmp_path: Path) -> None:
    wide = Image.new("RGB", (24, 8), (255, 0, 0))
    wide.paste((0, 0, 255), (8, 0, 16, 8))
    (tmp_path / "a").mkdir()
    wide.save(tmp_path / "a" / "wide.png")
    folder, _ = load_folder(tmp_path)
    pixels = decode(folder, 0, size=4, channels=3)
    assert pixels.shape == (3, 4, 4)
    assert pixels.transpose(1, 2, 0)[1:3, 1:3].reshape(-1, 3).tolist() == [[0, 0, 255]] * 4


def test_grey_where_the_model_takes_one_channel(splits: Path) -> None:
    assert load(splits, model_args={"in_chans": 1}).mean.shape == (1,)


def test_palette_with_transparency_is_read_without_complaint(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    image = Image.new("P", (4, 4))
    image.info["transparency"] = b"\x00" * 10
    image.save(tmp_path / "a" / "x.png", transparency=b"\x00" * 10)
    folder, _ = load_folder(tmp_path)
    assert decode(folder, 0, size=4, channels=3).shape == (3, 4, 4)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_keep_their_upper_eight(tmp_path: Path, suffix: str) -> None:
    """Pillow's own conversion makes every value above 255 white."""
    deep = (np.arange(16, dtype=np.uint16) * 4096 + 255).reshape(4, 4)
    (tmp_path / "a").mkdir()
    Image.fromarray(deep).save(tmp_path / "a" / f"x.{suffix}")
    folder, _ = load_folder(tmp_path)
    for channels in (1, 3):
        pixels = decode(folder, 0, size=4, channels=channels)
        assert (pixels == np.arange(16).reshape(4, 4) * 16).all()


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_thirty_two_bits_are_refused(tmp_path: Path, kind: type) -> None:
    (tmp_path / "a").mkdir()
    Image.fromarray(np.linspace(0, 1, 16).reshape(4, 4).astype(kind)).save(tmp_path / "a" / "x.tif")
    folder, _ = load_folder(tmp_path)
    with pytest.raises(DataError, match=r"x\.tif cannot be read .*32 bits: save it with 8 or 16"):
        decode(folder, 0, size=4, channels=3)


def test_links_are_followed_once_and_hidden_folders_are_not_read(tmp_path: Path) -> None:
    own = draw(tmp_path / "set" / "ant" / "a.png")
    draw(tmp_path / "set" / "ant" / ".ipynb_checkpoints" / "a-checkpoint.png")
    (tmp_path / "set" / "ant" / "no image.png").mkdir()
    draw(tmp_path / "elsewhere" / "b.png")
    (tmp_path / "set" / "ant" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set" / "ant")
    folder, _ = load_folder(tmp_path / "set")
    assert folder.paths == (own, own.parent / "more" / "b.png")


def test_splits_of_other_names_are_not_taken_for_classes(tmp_path: Path) -> None:
    for split in ("Test", "Train"):
        draw(tmp_path / split / "ant" / "0.png")
    with pytest.raises(DataError, match="holds Test and Train, which are no classes"):
        load(tmp_path)


def test_one_class_is_nothing_to_learn(splits: Path) -> None:
    (splits / "train" / "bee").rename(splits / "train" / "ant" / "bee")
    with pytest.raises(DataError, match="one class only"):
        load(splits / "train")


def test_a_class_of_one_image_is_named(splits: Path) -> None:
    draw(splits / "train" / "cow" / "0.png")
    with pytest.raises(DataError, match="Class cow has 1 image"):
        load(splits / "train")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not a folder"):
        load(tmp_path / "nowhere")


def test_folder_without_classes(tmp_path: Path) -> None:
    draw(tmp_path / "lonely.png")
    with pytest.raises(DataError, match="has no class folders"):
        load(tmp_path)


def test_empty_class_is_named(splits: Path) -> None:
    (splits / "train" / "cow").mkdir()
    (splits / "train" / "cow" / "notes.txt").write_text("none yet")
    with pytest.raises(DataError, match=r"cow holds no image"):
        load(splits)


@pytest.mark.parametrize("content", [b"", b"not an image", "cut"])
def test_unreadable_image_is_named(splits: Path, content: bytes | str) -> None:
    victim = splits / "train" / "bee" / "1.png"
    victim.write_bytes(victim.read_bytes()[:60] if isinstance(content, str) else content)
    with pytest.raises(DataError, match=rf"{victim} cannot be read as an image"):
        load(splits)


def test_different_classes_are_listed(splits: Path) -> None:
    draw(splits / "val" / "cow" / "0.png")
    with pytest.raises(DataError, match="only in test: cow"):
        load(splits)


def test_val_without_train(splits: Path) -> None:
    (splits / "train").rename(splits / "elsewhere")
    with pytest.raises(DataError, match="val is there but"):
        load(splits)


def test_one_colour_teaches_nothing(tmp_path: Path) -> None:
    for index in range(4):
        folder = tmp_path / "ab"[index % 2]
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (9, 9, 9)).save(folder / f"{index}.png")
    with pytest.raises(DataError, match="one single colour"):
        load(tmp_path)


def test_limit_says_which_setting(splits: Path) -> None:
    with pytest.raises(DataError, match="train_limit=50: A subset of 50"):
        load(splits, train_limit=50)


def test_decoding_on_demand_gives_the_same_batches(splits: Path) -> None:
    state = torch.get_rng_state()
    chunks = [torch.tensor([5, 0, 3]), torch.tensor([2])]
    kept = load(splits).train
    for workers in (0, 1):
        again = load(splits, memory_gb=0.0, workers=workers).train
        for (images, labels), (other, others) in zip(
            kept.batches(chunks), again.batches(chunks), strict=True
        ):
            assert torch.equal(images, other)
            assert torch.equal(labels, others)
    assert torch.equal(torch.get_rng_state(), state)
