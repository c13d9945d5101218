# Copyright (c) QTSeg bundle contributors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
from __future__ import annotations

import logging
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

import images
from scripts.datalists import from_dsb2018, from_folder, images_in, read_layout, split
from scripts.errors import InputError
from scripts.image_reader import MaskFileReader

DATA = Path(os.environ.get("QTSEG_DATA", "none"))


def folder(root: Path, *names: str) -> Path:
    """Write an image (or its mask) under every name, below ``root``."""
    for name in names:
        images.save(root / name, images.marked())
    return root


def dsb2018(root: Path, sample: str, *masks: str) -> Path:
    base = f"stage1_train/{sample}"
    return folder(root, f"{base}/images/{sample}.png", *(f"{base}/masks/{mask}.png" for mask in masks))


def names(items: list[dict]) -> list[tuple[str, str]]:
    return [(Path(item["image"]).name, Path(item["label"]).name) for item in items]


# from_folder


@pytest.mark.parametrize("mask_folder", ["masks", "labels"])
def test_pairs_are_sorted_by_name(mask_folder, tmp_path):
    folder(tmp_path, "images/b.png", "images/a.JPG", "images/c.d.tiff", "images/a b.bmp")
    folder(tmp_path / mask_folder, "c.d.gif", "b.png", "a.png", "a b.TIF")
    items = from_folder(str(tmp_path))
    assert names(items) == [("a b.bmp", "a b.TIF"), ("a.JPG", "a.png"), ("b.png", "b.png"), ("c.d.tiff", "c.d.gif")]
    assert items[1]["image"] == str(tmp_path / "images" / "a.JPG")
    assert items[1]["label"] == str(tmp_path / mask_folder / "a.png")


@pytest.mark.parametrize("mask", ["a_mask", "a_Segmentation", "a_segmentation", "a_MASK"])
def test_endings_of_masks(mask, tmp_path):
    assert names(from_folder(folder(tmp_path, "images/a.jpg", f"masks/{mask}.png"))) == [("a.jpg", f"{mask}.png")]


def test_names_of_any_language(tmp_path):
    # macOS writes an accent as a character of its own.
    composed, decomposed = (unicodedata.normalize(form, "Überlappung ä 画像") for form in ("NFC", "NFD"))
    assert composed != decomposed
    folder(tmp_path / "data set.v2", f"images/{composed}.png", f"masks/{decomposed}.png")
    assert len(from_folder(tmp_path / "data set.v2")) == 1


def test_symbolic_links_are_files(tmp_path):
    folder(tmp_path, "store/1.png")
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "a.png").symlink_to(tmp_path / "store" / "1.png")
    assert names(from_folder(tmp_path / "data")) == [("a.png", "a.png")]


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(folder(tmp_path, "set/images/a.png", "set/masks/a.png")))
    assert len(from_folder("~/set")) == 1


def test_a_folder_may_be_named_by_a_number(tmp_path, monkeypatch):
    monkeypatch.chdir(folder(tmp_path, "2018/images/a.png", "2018/masks/a.png"))
    assert len(from_folder(2018)) == 1  # as the command line passes it


def test_other_files_are_left_out(tmp_path, caplog):
    folder(tmp_path, "images/a.png", "masks/a.png")
    for name in (".DS_Store", "._a.png", ".b.png", "Thumbs.db", "notes.txt", "a.png.bak"):
        (tmp_path / "images" / name).write_bytes(b"no image")
    (tmp_path / "images" / "more.png").mkdir()
    with caplog.at_level(logging.INFO, logger="qtseg"):
        assert names(from_folder(tmp_path)) == [("a.png", "a.png")]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'images'}: left out 3 entries that are no image files"
    ]


@pytest.mark.parametrize("function", [from_folder, from_dsb2018, images_in])
def test_no_folder(function, tmp_path):
    with pytest.raises(InputError, match="dataset_dir is not set; give --dataset_dir a folder:\n  <dataset_dir>/"):
        function(None)
    with pytest.raises(InputError, match="none does not exist; give --dataset_dir an existing folder:\n  <data"):
        function(tmp_path / "none")
    with pytest.raises(InputError, match="a.png is not a folder; give --dataset_dir a folder:\n  <dataset_dir>/"):
        function(folder(tmp_path, "a.png") / "a.png")


@pytest.mark.parametrize("files, message", [
    ([], "has no folder images/; expected is\n  <dataset_dir>/images/<name>.png\n  <dataset_dir>/masks/<name>.png"),
    (["masks/a.png"], "has no folder images/; expected is"),
    (["images/a.png"], "has no folder masks/ .or labels/.; expected is"),
    (["images/a.png", "masks/a.png", "labels/a.png"], "has both masks/ and labels/; keep the one"),
    (["images/a.txt", "masks/a.png"], "images holds no image; supported are .bmp, .gif, .jpeg, .jpg, .png, .tif"),
    (["images/a.png", "masks/a.txt"], "masks holds no image; supported are"),
    (["images/a.png", "images/a.jpg", "masks/a.png"], "a.jpg and a.png differ in their suffix only; rename one"),
    (["images/a.png", "masks/a.png", "masks/a.GIF"], "a.GIF and a.png differ in their suffix only; rename one"),
    (["images/a.png", "masks/a.png", "masks/a_mask.png"], "a.png fits a.png and a_mask.png; keep one mask"),
    (["images/a.png", "images/a_mask.png", "masks/a_mask.png"], "a_mask.png fits a.png and a_mask.png; give each"),
    (["images/a.png", "images/b.png", "masks/a.png"], r"1 file\(s\) in .*images have no mask of .*: b.png; add"),
    (["images/a.png", "masks/b.png", "masks/a.png"], r"1 file\(s\) in .*masks have no image of .*: b.png; add"),
    ([*(f"images/{i}.png" for i in range(9)), "masks/1.png"], r"8 file\(s\) .*: 0.png, 2.png, 3.png, \.\.\.;"),
    (["stage1_train/1/images/1.png"], "holds the Data Science Bowl 2018; add configs/datasets/dsb2018.json to"),
])
def test_wrong_folders(files, message, tmp_path):
    folder(tmp_path, *(name for name in files if not name.endswith(".txt")))
    for name in (name for name in files if name.endswith(".txt")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("no image")
    with pytest.raises(InputError, match=message):
        from_folder(tmp_path)


def test_the_inner_folder_of_dsb2018(tmp_path):
    inner = dsb2018(tmp_path, "1", "a") / "stage1_train"
    parent = f"stage1_train is a part of the Data Science Bowl 2018; give its parent, {tmp_path}, as --dataset_dir"
    with pytest.raises(InputError, match=f"{parent}, and add configs/datasets/dsb2018.json"):
        from_folder(inner)
    with pytest.raises(InputError, match=f"{parent}$"):
        from_dsb2018(inner)


@pytest.mark.parametrize("name", ["images/a.png", "masks/a.png"])
def test_unreadable_files(name, tmp_path):
    folder(tmp_path, "images/a.png", "masks/a.png", "images/b.png", "masks/b.png")
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=f"{name} is not a PNG, JPEG, TIFF, BMP or GIF image"):
        from_folder(tmp_path)


def test_a_mask_of_another_size(tmp_path):
    folder(tmp_path, "images/a.png")
    images.save(tmp_path / "masks" / "a.png", images.marked().T)
    with pytest.raises(InputError, match="masks/a.png is 16 x 24 pixels but .*images/a.png is 24 x 16; a mask must"):
        from_folder(tmp_path)


# from_dsb2018


def test_dsb2018_lists_all_masks_of_an_image(tmp_path):
    dsb2018(tmp_path, "b", "3", "1")
    dsb2018(tmp_path, "a", "2")
    (tmp_path / "stage1_train" / ".DS_Store").write_bytes(b"")
    train = tmp_path / "stage1_train"
    assert from_dsb2018(tmp_path) == [
        {"image": str(train / "a/images/a.png"), "label": [str(train / "a/masks/2.png")]},
        {"image": str(train / "b/images/b.png"), "label": [str(train / "b/masks/1.png"), str(train / "b/masks/3.png")]},
    ]


@pytest.mark.parametrize("files, message", [
    (["images/a.png", "masks/a.png"], "has no folder stage1_train; expected is\n  <dataset_dir>/stage1_train/<id>"),
    (["stage1_train/a/images/a.png"], "stage1_train/a has no folder masks; expected is"),
    (["stage1_train/a/masks/a.png"], "stage1_train/a has no folder images; expected is"),
    (["stage1_train/a.png"], "stage1_train is empty; expected is"),
    ([f"stage1_train/a/{name}.png" for name in ("images/a", "images/b", "masks/a")], "has 2 images; expected is one"),
])
def test_wrong_layouts_of_dsb2018(files, message, tmp_path):
    with pytest.raises(InputError, match=message):
        from_dsb2018(folder(tmp_path, *files))


def test_a_part_of_another_size(tmp_path):
    dsb2018(tmp_path, "a", "1", "2")
    images.save(tmp_path / "stage1_train/a/masks/2.png", images.marked()[1:])
    with pytest.raises(InputError, match="masks/2.png is 24 x 15 pixels but .*images/a.png is 24 x 16"):
        from_dsb2018(tmp_path)


# images_in


@pytest.mark.parametrize("inner", [".", "images"])
def test_images_to_segment(inner, tmp_path):
    folder(tmp_path, f"{inner}/b.jpg", f"{inner}/a.PNG", "masks/a.png")
    assert images_in(tmp_path) == [{"image": str(tmp_path / inner / name)} for name in ("a.PNG", "b.jpg")]


@pytest.mark.parametrize("files, message", [
    (["masks/a.png"], "holds no image; supported are .bmp"),
    (["a.png", "a.tif"], "a.png and a.tif differ in their suffix only; rename one of them"),
    (["a.png", "images/b.png"], "and .*images both hold images; give --dataset_dir .*images, or move the others"),
])
def test_wrong_folders_to_segment(files, message, tmp_path):
    with pytest.raises(InputError, match=message):
        images_in(folder(tmp_path, *files))


def test_unreadable_images_to_segment(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="a.png is not a PNG, JPEG, TIFF, BMP or GIF image"):
        images_in(tmp_path)


# split


def numbered(count: int) -> list[dict]:
    return [{"image": f"{i:03}.png"} for i in range(count)]


@pytest.mark.parametrize("count, num_folds", [(10, 5), (13, 5), (2, 2), (670, 5)])
@pytest.mark.parametrize("remainder", ["spread", "train"])
def test_folds_part_the_images(count, num_folds, remainder):
    items = numbered(count)
    folds = [split(items, fold=fold, num_folds=num_folds, remainder=remainder) for fold in range(num_folds)]
    validated = [item for fold in folds for item in fold["validate"]]
    assert validated == items[: count if remainder == "spread" else count // num_folds * num_folds]
    for fold in folds:
        assert len(fold["validate"]) in (count // num_folds, count // num_folds + (remainder == "spread"))
        assert sorted(fold["train"] + fold["validate"], key=lambda item: item["image"]) == items
        assert fold["train"] == [item for item in items if item not in fold["validate"]]


def test_the_remainder():
    sizes = {
        remainder: [len(split(numbered(13), fold=i, num_folds=5, remainder=remainder)["validate"]) for i in range(5)]
        for remainder in ("spread", "train")
    }
    assert sizes == {"spread": [3, 3, 3, 2, 2], "train": [2, 2, 2, 2, 2]}
    assert split(numbered(13), fold=1, num_folds=5, remainder="train")["validate"] == numbered(13)[2:4]
    assert split(numbered(13), fold=3, num_folds=5)["validate"] == numbered(13)[9:11]


@pytest.mark.parametrize("options, message", [
    ({"fold": 5, "num_folds": 5}, "fold is 5; with num_folds=5 use 0 to 4"),
    ({"fold": -1, "num_folds": 5}, "fold is -1; with num_folds=5 use 0 to 4"),
    ({"fold": 0, "num_folds": 1}, "num_folds is 1; use 2 or more"),
    ({"fold": 0, "num_folds": 8}, r"num_folds is 8 for 7 image\(s\); add images, or use fewer folds"),
    ({"fold": 0, "num_folds": 2, "remainder": "drop"}, "remainder is 'drop'; use \"spread\" or \"train\""),
])
def test_wrong_folds(options, message):
    with pytest.raises(InputError, match=message):
        split(numbered(7), **options)


# real data


@pytest.mark.skipif(not (DATA / "stage1_train").is_dir(), reason="QTSEG_DATA names no folder with stage1_train")
def test_dsb2018_as_released():
    items = from_dsb2018(DATA)
    assert (len(items), sum(len(item["label"]) for item in items)) == (670, 29461)
    reader = MaskFileReader(2)
    for item in items[::100]:
        ids, _ = reader.get_data(reader.read(item["label"]))
        assert np.unique(ids).tolist() == [0, 1]


def test_layouts_are_read_by_name(tmp_path):
    folder(tmp_path, "images/a.png", "masks/a.png")
    assert read_layout("folder", tmp_path) == from_folder(tmp_path)
    with pytest.raises(InputError, match="layout is 'nnunet'; use one of 'folder', 'dsb2018'"):
        read_layout("nnunet", tmp_path)
