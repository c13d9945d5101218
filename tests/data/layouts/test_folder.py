# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from scripts.common.errors import InputError
from scripts.data.layouts.folder import from_folder
from scripts.data.splits.files import read_split
from scripts.image_io.formats.registry import image_suffixes
from trees import folder, names


@pytest.mark.parametrize("mask_folder", ["masks", "labels"])
def test_pairs_are_sorted_by_name(mask_folder, tmp_path):
    folder(tmp_path, "images/b.png", "images/a.JPG", "images/c.d.tiff", "images/a b.bmp")
    folder(tmp_path / mask_folder, "c.d.gif", "b.png", "a.png", "a b.TIF")
    items = from_folder(str(tmp_path))
    assert names(items) == [("a b.bmp", "a b.TIF"), ("a.JPG", "a.png"), ("b.png", "b.png"), ("c.d.tiff", "c.d.gif")]
    assert items[1]["image"] == str(tmp_path / "images" / "a.JPG")
    assert items[1]["label"] == str(tmp_path / mask_folder / "a.png")


@pytest.mark.parametrize("files, message", [
    ([], "has no folder images/; expected is\n  <dataset_dir>/images/<name>.png\n  <dataset_dir>/masks/<name>.png"),
    (["masks/a.png"], "has no folder images/; expected is"),
    (["images/a.png"], "has no folder masks/ or labels/; expected is"),
    (["images/a.png", "masks/a.png", "labels/a.png"], "has both masks/ and labels/; keep the one"),
    (["images/a.txt", "masks/a.png"], f"images holds no image; supported are {', '.join(sorted(image_suffixes()))}"),
    (["images/a.png", "masks/a.txt"], "masks holds no image; supported are"),
    (["images/a.png", "images/a.jpg", "masks/a.png"], "a.jpg and a.png differ in their suffix only; rename one"),
    (["images/a.png", "masks/a.png", "masks/a.GIF"], "a.GIF and a.png differ in their suffix only; rename one"),
    (["images/a.png", "masks/a.png", "masks/a_mask.png"], "a.png fits a.png and a_mask.png; keep one mask"),
    (["images/a.png", "images/a_mask.png", "masks/a_mask.png"], "a_mask.png fits a.png and a_mask.png; give each"),
    (["images/a.png", "images/b.png", "masks/a.png"],
     r"1 file\(s\) in .*images have no mask of .*: b.png; add the masks, or remove these"),
    (["images/a.png", "masks/b.png", "masks/a.png"],
     r"1 file\(s\) in .*masks have no image of .*: b.png; add the images; if an image has several masks, unite them"),
    ([*(f"images/{i}.png" for i in range(9)), "masks/1.png"], r"8 file\(s\) .*: 0.png, 2.png, 3.png, \.\.\.;"),
])
def test_wrong_folders(files, message, tmp_path):
    folder(tmp_path, *(name for name in files if not name.endswith(".txt")))
    for name in (name for name in files if name.endswith(".txt")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("no image")
    with pytest.raises(InputError, match=message):
        from_folder(tmp_path)


def test_the_inner_folder_of_dsb2018(tmp_path):
    inner = folder(tmp_path, "stage1_train/1/images/1.png") / "stage1_train"
    parent = f"stage1_train is a part of the Data Science Bowl 2018; give its parent, {tmp_path}, as --dataset_dir"
    with pytest.raises(InputError, match=f"{parent}, and add configs/datasets/dsb2018.json"):
        from_folder(inner)


def test_a_dataset_json_is_recognized(tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(InputError, match="has a dataset.json; add --layout decathlon"):
        from_folder(tmp_path)


def test_parts(tmp_path):
    for part in ("test", "train", "val"):
        folder(tmp_path, f"{part}/images/{part}.png", f"{part}/labels/{part}_mask.png")
    assert [(Path(item["image"]).stem, item["part"]) for item in from_folder(tmp_path)] == [
        ("train", "train"),
        ("val", "val"),
        ("test", "test"),
    ]


def test_lists_of_names_are_left_out_and_the_log_says_how_to_use_them(tmp_path, caplog):
    stems = ("a", "b", "c")
    folder(tmp_path, *(f"{kind}/{name}.png" for kind in ("images", "masks") for name in stems))
    for part, name in zip(("train", "test"), stems):
        (tmp_path / f"{part}.txt").write_text(f"{name}\n")
    with caplog.at_level(logging.WARNING, logger="qtseg"):
        items = from_folder(tmp_path)
    assert items == [
        {"image": str(tmp_path / f"images/{name}.png"), "label": str(tmp_path / f"masks/{name}.png")} for name in stems
    ]
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{tmp_path}: left out train.txt, test.txt; to divide the images so, write the names into a file folds.json, "
        '[{"train": ["a", "b", ...], "val": [...], "test": [...]}], and give its path by --split'
    )
    (tmp_path / "folds.json").write_text(json.dumps([{"train": ["a"], "val": ["b"], "test": ["c"]}]))
    (fold,) = read_split(tmp_path / "folds.json", items, tmp_path).folds
    assert (fold.train, fold.validate, fold.test) == ([0], [1], [2])


def test_lists_beside_parts_go_unsaid(tmp_path, caplog):
    folder(tmp_path, *(f"{part}/{kind}/a.png" for part in ("train", "test") for kind in ("images", "masks")))
    (tmp_path / "train.txt").write_text("a\n")
    with caplog.at_level(logging.WARNING, logger="qtseg"):
        assert len(from_folder(tmp_path)) == 2
    assert caplog.records == []


@pytest.mark.parametrize("files, message", [
    (["train/images/a.png", "train/masks/a.png"], "has train/ alone; expected are train/ and test/"),
    (["test/images/a.png", "val/masks/a.png"], "has val/ alone"),
    (["train/images/a.png", "train/masks/a.png", "test/images/a.png"], "test has no folder masks/ or labels/"),
    (["train/images/a.png", "images/a.png"], "has both images/ and train/; keep the one"),
])
def test_wrong_parts(files, message, tmp_path):
    with pytest.raises(InputError, match=message):
        from_folder(folder(tmp_path, *files))
