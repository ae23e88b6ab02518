"""``check_data``: each thing that can be wrong with images, made wrong on purpose."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from droptime.errors import DataError
from droptime.training import TrainConfig
from droptime.training.data.check import Report, check_data
from droptime.training.data.findings import ERROR, WARNING

DRAW = np.random.default_rng(0)


def draw(path: Path, *, size: tuple[int, int] = (20, 24), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = DRAW.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            for index in range(3):
                draw(tmp_path / split / name / f"{index}.png")
    return tmp_path


def check(path: Path, *, min_side: int = 16) -> Report:
    return check_data(TrainConfig(data=f"folder:{path}"), min_side=min_side)


def kinds(report: Report) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {finding.kind: (finding.severity, finding.names) for finding in report.findings}


def test_nothing_is_wrong_with_good_data(good: Path) -> None:
    report = check(good)
    assert report.findings == report.errors == ()
    assert (report.splits, report.classes) == ({"train": 6, "test": 6}, 2)
    assert check(good / "train").splits == {"all": 6}


def test_unreadable_and_truncated_images_are_named_with_their_trouble(good: Path) -> None:
    torn = good / "train" / "ant" / "0.png"
    torn.write_bytes(torn.read_bytes()[:200])
    noise = good / "test" / "bee" / "2.png"
    noise.write_bytes(b"this is no image")
    short = good / "test" / "ant" / "long.jpg"
    draw(short, size=(80, 80))
    short.write_bytes(short.read_bytes()[:-600])
    report = check(good)
    severity, names = kinds(report)["unreadable"]
    assert severity == ERROR
    assert [name.split(" (")[0] for name in names] == [str(torn), str(short), str(noise)]
    assert "truncated" in names[1]
    assert "no image that Pillow knows" in names[2]
    assert len(report.errors) == 1


def test_empty_classes_and_classes_of_one_split(good: Path) -> None:
    (good / "train" / "cow").mkdir()
    (good / "train" / "cow" / "notes.txt").write_text("none yet")
    draw(good / "test" / "dog" / "0.png")
    draw(good / "train" / "lonely.png")
    found = kinds(check(good))
    assert found["empty class"] == (ERROR, (str(good / "train" / "cow"),))
    assert found["class of one split"][0] == ERROR
    assert {f.names for f in check(good).findings if f.kind == "class of one split"} == {
        ("cow",),
        ("dog",),
    }
    assert found["no image file"] == (WARNING, (str(good / "train" / "cow" / "notes.txt"),))
    assert found["outside classes"] == (WARNING, (str(good / "train" / "lonely.png"),))


def test_the_same_image_again(good: Path) -> None:
    first = good / "train" / "ant" / "0.png"
    again = first.with_name("again.png")
    shutil.copy(first, again)
    tested = good / "test" / "ant" / "9.bmp"  # another file, the same pixels
    Image.open(good / "train" / "ant" / "1.png").save(tested)
    other = good / "train" / "bee" / "9.png"
    shutil.copy(good / "train" / "ant" / "2.png", other)
    found = kinds(check(good))
    assert found["repeated"] == (WARNING, (f"{first} = {again}",))
    assert found["in two splits"] == (WARNING, (f"{first.with_name('1.png')} = {tested}",))
    assert found["two labels"] == (WARNING, (f"{first.with_name('2.png')} = {other}",))


def test_modes_sizes_colours_and_balance(good: Path) -> None:
    draw(good / "train" / "ant" / "grey.png", mode="L")
    tiny = draw(good / "train" / "ant" / "tiny.png", size=(40, 9))
    flat = good / "test" / "ant" / "flat.png"
    Image.new("RGB", (20, 20), (3, 4, 5)).save(flat)
    for index in range(27):
        draw(good / "train" / "ant" / f"more {index}.png")
    found = kinds(check(good, min_side=10))
    assert found["modes"] == (WARNING, ("41 of RGB", "1 of L"))
    assert found["small"] == (WARNING, (f"{tiny} (40, 9)",))
    assert found["one colour"] == (WARNING, (str(flat),))
    assert found["unbalanced"] == (WARNING, ("ant: 32", "bee: 3"))
    assert check(good, min_side=9).findings[0].kind != "small"


def test_images_that_exif_data_turn(good: Path) -> None:
    turn = Image.Exif()
    turn[0x0112] = 6
    lying = good / "train" / "ant" / "lying.jpg"
    with Image.open(good / "train" / "ant" / "0.png") as image:
        image.save(lying, exif=turn)
    assert kinds(check(good))["turned"] == (WARNING, (str(lying),))


def test_too_few_to_train_on(good: Path) -> None:
    draw(good / "train" / "cow" / "alone.png")
    assert kinds(check(good / "train")) == {"one image": (ERROR, ("cow",))}
    for name in ("bee", "cow"):
        shutil.rmtree(good / "train" / name)
    assert kinds(check(good / "train")) == {"one class": (ERROR, ("ant",))}


def test_links_are_followed_and_a_broken_one_is_named(good: Path) -> None:
    (good / "test" / "ant" / "more").symlink_to(good / "train" / "ant")
    gone = good / "train" / "ant" / "gone.png"
    gone.symlink_to(good / "nowhere.png")
    found = kinds(check(good))
    assert len(found["in two splits"][1]) == 3
    assert found["unreadable"][1][0].startswith(str(gone))


def test_folders_that_are_not_read(good: Path) -> None:
    shutil.copytree(good / "test", good / "val")
    found = kinds(check(good))
    assert found["folder not used"] == (WARNING, ("val",))
    shutil.rmtree(good / "train")
    assert kinds(check(good))["no train folder"][0] == ERROR


def test_what_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        check(tmp_path / "nothing")
    with pytest.raises(DataError, match="no class folders"):
        check(tmp_path)


def test_other_data_than_folders() -> None:
    report = check_data(TrainConfig(data="digits"), min_side=8)
    assert report.splits == {"train": 1797}
    assert report.errors == ()
    assert set(kinds(report)) <= {"repeated", "two labels"}
