# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import images
from scripts.common.errors import InputError
from scripts.data.layouts.registry import read_layout
from trees import LEFT, RIGHT, photo, read, stem, white

DATA = Path(os.environ.get("QTSEG_DATA", "none"))


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
