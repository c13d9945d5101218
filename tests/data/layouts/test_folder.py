# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import logging
import unicodedata
from pathlib import Path

import pytest

import images
from scripts.common.errors import InputError
from scripts.data.layouts.folder import from_folder
from scripts.data.layouts.registry import LAYOUTS


def folder(root: Path, *names: str) -> Path:
    """Write an image (or its mask) under every name, below ``root``."""
    for name in names:
        images.save(root / name, images.marked())
    return root


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


def test_an_ending_in_two_parts(tmp_path):
    paired = [("a.nii.gz", "a_mask.nii.gz"), ("b.png", "b.NII.GZ"), ("c.nii", "c.png")]
    for image, mask in paired:
        for path in (tmp_path / "images" / image, tmp_path / "masks" / mask):
            path.parent.mkdir(exist_ok=True)
            path.touch()
    assert names(from_folder(tmp_path)) == paired


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


@pytest.mark.parametrize("function", [*LAYOUTS.values()])
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
    (["images/a.png"], "has no folder masks/ or labels/; expected is"),
    (["images/a.png", "masks/a.png", "labels/a.png"], "has both masks/ and labels/; keep the one"),
    (["images/a.txt", "masks/a.png"], "images holds no image; supported are .bmp, .dcm, .dicom, .gif, .jpeg, "),
    (["images/a.png", "masks/a.txt"], "masks holds no image; supported are"),
    (["images/a.png", "images/a.jpg", "masks/a.png"], "a.jpg and a.png differ in their suffix only; rename one"),
    (["images/a.png", "masks/a.png", "masks/a.GIF"], "a.GIF and a.png differ in their suffix only; rename one"),
    (["images/a.png", "masks/a.png", "masks/a_mask.png"], "a.png fits a.png and a_mask.png; keep one mask"),
    (["images/a.png", "images/a_mask.png", "masks/a_mask.png"], "a_mask.png fits a.png and a_mask.png; give each"),
    (["images/a.png", "images/b.png", "masks/a.png"], r"1 file\(s\) in .*images have no mask of .*: b.png; add"),
    (["images/a.png", "masks/b.png", "masks/a.png"], r"1 file\(s\) in .*masks have no image of .*: b.png; add"),
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


@pytest.mark.parametrize("sign, layout", [
    ("stage1_train", "dsb2018"),
    ("malignant", "busi"),
    ("train_gt", "bkai"),
    ("ISBI2016_ISIC_Part1_Training_Data", "isic2016"),
    ("train/Original", "fives"),
])
def test_other_layouts_are_recognized(sign, layout, tmp_path):
    (tmp_path / sign).mkdir(parents=True)
    with pytest.raises(InputError, match=f"is laid out as {layout}; add configs/datasets/{layout}.json to"):
        from_folder(tmp_path)


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


@pytest.mark.parametrize("files, message", [
    (["train/images/a.png", "train/masks/a.png"], "has train/ alone; expected are train/ and test/"),
    (["test/images/a.png", "val/masks/a.png"], "has val/ alone"),
    (["train/images/a.png", "train/masks/a.png", "test/images/a.png"], "test has no folder masks/ or labels/"),
    (["train/images/a.png", "images/a.png"], "has both images/ and train/; keep the one"),
])
def test_wrong_parts(files, message, tmp_path):
    with pytest.raises(InputError, match=message):
        from_folder(folder(tmp_path, *files))
