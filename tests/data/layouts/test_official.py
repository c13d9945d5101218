# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest

import images
from scripts.common.errors import InputError
from scripts.data.layouts.registry import read_layout
from trees import LEFT, RIGHT, photo, read, stem, white

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
