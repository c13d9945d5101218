# SPDX-License-Identifier: Apache-2.0

"""Small trees in the native layouts of the five benchmarks, with the traps of the real ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.bundle import ConfigParser

import images
from scripts.common.errors import InputError
from scripts.data.layouts.registry import LAYOUTS, read_layout
from scripts.image_io.readers import ImageFileReader, MaskFileReader
from workflows import CONFIGS

DATA = Path(os.environ.get("QTSEG_DATA", "none"))
LEFT = np.zeros((16, 24), bool)
LEFT[2:9, 1:8] = True
RIGHT = np.zeros((16, 24), bool)
RIGHT[5:15, 12:22] = True


def photo(value: int = 90) -> np.ndarray:
    pixels = np.full((16, 24, 3), value, np.uint8)
    pixels[..., 1] = np.arange(24)
    return pixels


def white(mask: np.ndarray) -> np.ndarray:
    return (mask * 255).astype(np.uint8)


def read(item: dict[str, Any], num_classes: int = 2, **options) -> tuple[np.ndarray, np.ndarray]:
    """The image (H, W, 3) and the ids (H, W) of an item, as the configs read them."""
    parts = item["label"] if isinstance(item["label"], list) else [item["label"]]
    return ImageFileReader().get_data([item["image"]])[0], MaskFileReader(num_classes, **options).get_data(parts)[0]


def overlay(name: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / "train.json"), str(CONFIGS / "datasets" / f"{name}.json")])
    return parser


def stem(item: dict[str, Any]) -> str:
    return Path(item["image"]).stem


# DSB2018


def test_dsb2018_rgba_images_and_a_mask_file_for_each_nucleus(tmp_path):
    base = tmp_path / "stage1_train" / "a1"
    images.save(base / "images" / "a1.png", np.dstack([photo(), np.full((16, 24), 255, np.uint8)]))
    for name, mask in (("1", LEFT), ("2", RIGHT), ("3", LEFT)):  # overlapping parts: OR, no sum
        images.save(base / "masks" / f"{name}.png", white(mask))
    images.save(tmp_path / "stage1_train" / "b" / "images" / "b.png", photo())
    images.save(tmp_path / "stage1_train" / "b" / "masks" / "1.png", white(RIGHT))
    (tmp_path / "stage1_train" / ".DS_Store").write_bytes(b"")
    items = read_layout("dsb2018", tmp_path)
    assert [stem(item) for item in items] == ["a1", "b"]
    image, ids = read(items[0])
    np.testing.assert_array_equal(image, photo())
    np.testing.assert_array_equal(ids, LEFT | RIGHT)


@pytest.mark.parametrize("files, message", [
    (["images/a.png", "masks/a.png"], "has no folder stage1_train/; expected is\n  <dataset_dir>/stage1_train/<id>"),
    (["stage1_train/a/images/a.png"], "stage1_train/a has no folder masks/; expected is"),
    (["stage1_train/a/masks/a.png"], "stage1_train/a has no folder images/; expected is"),
    (["stage1_train/a.png"], "stage1_train is empty; expected is"),
    ([f"stage1_train/a/{name}.png" for name in ("images/a", "images/b", "masks/a")], "has 2 images; expected is one"),
])
def test_wrong_layouts_of_dsb2018(files, message, tmp_path):
    for name in files:
        images.save(tmp_path / name, photo())
    with pytest.raises(InputError, match=message):
        read_layout("dsb2018", tmp_path)


def test_the_inner_folder_of_dsb2018(tmp_path):
    (tmp_path / "stage1_train").mkdir()
    with pytest.raises(InputError, match=f"stage1_train is a part of the dataset; give its parent, {tmp_path}, as"):
        read_layout("dsb2018", tmp_path / "stage1_train")


@pytest.mark.skipif(not (DATA / "stage1_train").is_dir(), reason="QTSEG_DATA names no folder with stage1_train")
def test_dsb2018_as_released():
    items = read_layout("dsb2018", DATA)
    assert (len(items), sum(len(item["label"]) for item in items)) == (670, 29461)
    for item in items[::100]:
        assert np.unique(read(item)[1]).tolist() == [0, 1]


# BUSI


@pytest.fixture
def busi(tmp_path) -> Path:
    for kind in ("benign", "malignant", "normal"):
        for number in (1, 2, 10):
            images.save(tmp_path / kind / f"{kind} ({number}).png", photo(number))
    rgba = np.dstack([white(LEFT)] * 3 + [np.full((16, 24), 255, np.uint8)])
    images.save(tmp_path / "benign" / "benign (1)_mask.png", white(LEFT), "1")
    images.save(tmp_path / "benign" / "benign (1)_mask_1.png", white(RIGHT), "L")
    images.save(tmp_path / "benign" / "benign (2)_mask.png", white(LEFT), "RGB")
    images.save(tmp_path / "benign" / "benign (10)_mask.png", rgba)
    for number in (1, 2, 10):
        images.save(tmp_path / "malignant" / f"malignant ({number})_mask.png", white(RIGHT), "1")
        images.save(tmp_path / "normal" / f"normal ({number})_mask.png", white(np.zeros((16, 24))), "L")
    return tmp_path


def test_busi_mask_parts_of_all_modes(busi):
    items = read_layout("busi", busi)
    assert [stem(item) for item in items] == [
        *("benign (1)", "benign (10)", "benign (2)"),
        *("malignant (1)", "malignant (10)", "malignant (2)"),
    ]
    assert [item["stratum"] for item in items] == ["benign"] * 3 + ["malignant"] * 3
    for item, mask in zip(items, (LEFT | RIGHT, LEFT, LEFT, RIGHT, RIGHT, RIGHT)):
        np.testing.assert_array_equal(read(item)[1], mask, err_msg=stem(item))
    np.testing.assert_array_equal(read(items[1])[0], photo(10))


def test_busi_normal_images_on_request(busi):
    items = read_layout("busi_with_normal", busi)
    assert len(items) == 9 and not any(read(item)[1].any() for item in items[6:])


def test_wrong_layouts_of_busi(busi):
    (busi / "benign" / "benign (2)_mask.png").unlink()
    with pytest.raises(InputError, match=r"benign \(2\).png has no mask benign \(2\)_mask.png beside it; add it"):
        read_layout("busi", busi)
    (busi / "benign" / "benign (2).png").rename(busi / "benign" / "benign (2)_mask.png")
    with pytest.raises(InputError, match=r"benign \(2\)_mask.png has no image benign \(2\).png beside it; add it"):
        read_layout("busi", busi)
    outer = busi / "outer"
    (outer / "Dataset_BUSI_with_GT").mkdir(parents=True)
    with pytest.raises(InputError, match="outer holds the dataset; give .*outer/Dataset_BUSI_with_GT as --dataset_dir"):
        read_layout("busi", outer)
    with pytest.raises(InputError, match=r"has no folder malignant/; expected is\n  <dataset_dir>/benign/benign"):
        (busi / "malignant").rename(busi / "bad")
        (busi / "benign" / "benign (2)_mask.png").unlink()
        read_layout("busi", busi)


# BKAI


@pytest.fixture
def bkai(tmp_path) -> Path:
    """Masks in red and green, smeared by JPEG."""
    colors = np.zeros((64, 64, 3), np.uint8)
    colors[8:24, 8:24, 0] = 255
    colors[32:56, 32:56, 1] = 255
    for name, mask in (("b", colors), ("a", np.zeros_like(colors))):
        images.save(tmp_path / "train" / "train" / f"{name}.jpeg", np.full((64, 64, 3), 120, np.uint8), quality=90)
        images.save(tmp_path / "train_gt" / "train_gt" / f"{name}.jpeg", mask, quality=80)
    images.save(tmp_path / "test" / "test" / "c.jpeg", photo())
    return tmp_path


@pytest.mark.parametrize("num_classes", [2, 3])
def test_bkai_classes_by_color(bkai, num_classes):
    items = read_layout("bkai", bkai)
    assert [stem(item) for item in items] == ["a", "b"]  # those of test have no masks
    colors = overlay("bkai")["label_colors"]
    stored = np.asarray(images.opened(items[1]["label"])).reshape(-1, 3)
    assert len(np.unique(stored, axis=0)) > 10  # smeared
    expected = np.zeros((64, 64), np.uint8)
    expected[8:24, 8:24] = 1
    expected[32:56, 32:56] = num_classes - 1
    np.testing.assert_array_equal(read(items[1], num_classes, colors=colors)[1], expected)
    assert not read(items[0], num_classes, colors=colors)[1].any()


def test_wrong_layouts_of_bkai(bkai):
    (bkai / "train" / "train" / "b.jpeg").unlink()
    with pytest.raises(InputError, match="1 file.s. in .*train_gt have no image of the same name in .*train: b.jpeg"):
        read_layout("bkai", bkai)
    with pytest.raises(InputError, match=r"has no folder train/; expected is\n  <dataset_dir>/train/train/<id>.jpeg"):
        read_layout("bkai", bkai / "test")


# ISIC 2016 and FIVES

TREES = {
    "isic2016": {
        part: (f"{start}_Data/{{}}.jpg", f"{start}_GroundTruth/{{}}_Segmentation.png")
        for part, start in (("train", "ISBI2016_ISIC_Part1_Training"), ("test", "ISBI2016_ISIC_Part1_Test"))
    },
    "fives": {part: (f"{part}/Original/{{}}.png", f"{part}/Ground truth/{{}}.png") for part in ("train", "test")},
    "renamed": {part: (f"{part}/inputs/{{}}.jpg", f"{part}/targets/{{}}_mask.png") for part in ("train", "test")},
}


@pytest.mark.parametrize("layout, tree", [
    ("isic2016", "isic2016"),
    ("isic2016", "renamed"),
    ("fives", "fives"),
    ("fives", "renamed"),
])
def test_official_parts(layout, tree, tmp_path):
    masks = {"ISIC_2": white(LEFT), "ISIC_10": np.dstack([white(RIGHT)] * 3 + [np.full((16, 24), 255, np.uint8)])}
    for part, (image, mask) in TREES[tree].items():
        for name, pixels in masks.items():
            images.save(tmp_path / image.format(name), photo())
            images.save(tmp_path / mask.format(name), pixels)
    items = read_layout(layout, tmp_path)
    assert [(stem(item), item["part"]) for item in items] == [
        *(("ISIC_10", "train"), ("ISIC_2", "train"), ("ISIC_10", "test"), ("ISIC_2", "test"))
    ]
    np.testing.assert_array_equal(read(items[0])[1], RIGHT)
    np.testing.assert_array_equal(read(items[3])[1], LEFT)


@pytest.mark.parametrize("layout", ["isic2016", "fives"])
def test_wrong_official_layouts(layout, tmp_path):
    with pytest.raises(InputError, match="has no folder .*; expected is\n  <dataset_dir>/(ISBI|{train)"):
        read_layout(layout, tmp_path)


# all of them


def test_layouts_are_read_by_name(tmp_path):
    with pytest.raises(InputError, match="layout is 'nnunet'; use one of 'folder', 'decathlon', 'isic2016', 'busi'"):
        read_layout("nnunet", tmp_path)


@pytest.mark.parametrize("path", sorted((CONFIGS / "datasets").glob("*.json")), ids=lambda path: path.stem)
def test_overlays_name_a_layout_and_the_papers_folds(path):
    parser = overlay(path.stem)
    assert parser["layout"] == path.stem and path.stem in LAYOUTS
    assert parser["split"] == ("official" if path.stem in ("isic2016", "fives") else "slices")
    assert parser["remainder"] == ("spread" if parser["split"] == "official" else "train")
    assert parser.get_parsed_content("color_space") == ("YCrCb" if path.stem == "isic2016" else "RGB")
