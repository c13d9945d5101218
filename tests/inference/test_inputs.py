# SPDX-License-Identifier: Apache-2.0

"""Which images are segmented, and what their masks are called."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.common.errors import InputError
from scripts.inference.inputs import images_to_segment
from volumes import save_dicom


def tree(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"")
    return root


def found(root: Path, source: Path | None = None) -> dict[str, str]:
    """Names of masks by image, both relative."""
    items = images_to_segment(source or root, output_dir=root / "out")
    return {Path(item["image"]).relative_to(root).as_posix(): item["mask"] for item in items}


def test_all_images_of_a_folder_and_below(tmp_path):
    tree(tmp_path, "b.JPG", "a.png", "day 1/a.png", "day 1/left/größe.tiff", ".hidden/c.png", ".c.png", "notes.txt")
    assert found(tmp_path) == {
        "a.png": "a.png",
        "b.JPG": "b.png",
        "day 1/a.png": "day 1/a.png",
        "day 1/left/größe.tiff": "day 1/left/größe.png",
    }


def test_dicom_needs_no_suffix_and_volumes_keep_their_kind(tmp_path):
    tree(tmp_path, "notes", "scan.nii.gz", "flat.NII")
    for name in ("IM0001", "1.2.840.7", "a.dcm"):
        save_dicom(tmp_path / name, np.zeros((4, 4), np.uint8))
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")  # holds no image
    first, second = (Image.new("L", (4, 4), value) for value in (1, 2))
    first.save(tmp_path / "stack.tif", save_all=True, append_images=[second])
    assert found(tmp_path) == {
        "1.2.840.7": "1.2.840.7.png",
        "IM0001": "IM0001.png",
        "a.dcm": "a.png",
        "flat.NII": "flat.nii.gz",
        "scan.nii.gz": "scan.nii.gz",
        "stack.tif": "stack.tif",
    }


def test_masks_of_a_dataset_and_our_own_are_no_images(tmp_path):
    tree(tmp_path, "images/a.png", "images/more/b.png", "masks/a.png", "out/a.png")
    assert found(tmp_path) == {"images/a.png": "a.png", "images/more/b.png": "more/b.png"}
    tree(tmp_path / "parts", "train/images/a.png", "train/labels/a.png", "test/images/b.png", "test/labels/b.png")
    assert list(found(tmp_path / "parts").values()) == ["test/images/b.png", "train/images/a.png"]


@pytest.mark.parametrize("files, masks", [
    (["a.png", "a.jpg", "b.png"], ["a.jpg.png", "a.png.png", "b.png"]),
    (["a.jpg", "a.png", "a.jpg.png"], ["a.jpg.png", "a.jpg.png.png", "a.png.png"]),
    (["A.jpg", "a.bmp"], ["A.jpg.png", "a.bmp.png"]),
    (["x/a.png", "y/a.jpg"], ["x/a.png", "y/a.png"]),
])
def test_no_mask_overwrites_another(files, masks, tmp_path):
    assert sorted(found(tree(tmp_path, *files)).values()) == masks


def test_one_image(tmp_path):
    tree(tmp_path, "deep/a.jpg", "deep/b.jpg")
    assert found(tmp_path, tmp_path / "deep" / "a.jpg") == {"deep/a.jpg": "a.png"}


@pytest.mark.parametrize("name, text", [
    ("list.txt", "one/a.png\n\n# a remark\ntwo/b.png\none/a.png\n"),
    ("list.csv", "patient,image\n7,one/a.png\n8,two/b.png\n"),
])
def test_a_list(name, text, tmp_path):
    tree(tmp_path, "one/a.png", "two/b.png", "two/c.png")
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert found(tmp_path, tmp_path / name) == {"one/a.png": "one/a.png", "two/b.png": "two/b.png"}


def test_a_name_that_looks_like_a_remark(tmp_path):
    tree(tmp_path, "#1.png", "b.png")
    (tmp_path / "list.txt").write_text("#1.png\n#2.png\nb.png\n")
    assert found(tmp_path, tmp_path / "list.txt") == {"#1.png": "#1.png", "b.png": "b.png"}


def test_what_is_left_out_is_told(tmp_path, caplog):
    tree(tmp_path, "a.png", "b.docx", "deep/notes.md", ".hidden.txt")
    with caplog.at_level(logging.INFO, "qtseg"):
        assert list(found(tmp_path)) == ["a.png"]
    assert "2 file(s) left out (not an image of a known format): b.docx, notes.md" in caplog.text


def test_folders_that_cannot_be_opened_are_told(tmp_path, monkeypatch):
    tree(tmp_path, "a.png", "deep/b.png")
    scan = os.scandir

    def refuse(folder):
        if str(folder).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="deep cannot be opened: Permission denied; allow it, or move it away"):
        found(tmp_path)


def test_links_that_lead_back_are_followed_once(tmp_path):
    tree(tmp_path, "a.png", "deep/b.png")
    (tmp_path / "deep" / "up").symlink_to(tmp_path, target_is_directory=True)
    elsewhere = tree(tmp_path.parent / f"{tmp_path.name} elsewhere", "c.png")
    (tmp_path / "linked").symlink_to(elsewhere, target_is_directory=True)
    assert found(tmp_path) == {"a.png": "a.png", "deep/b.png": "deep/b.png", "linked/c.png": "linked/c.png"}


def test_wrong_sources(tmp_path):
    tree(tmp_path, "masks/a.txt", "empty.txt", "some.csv")
    (tmp_path / "missing.txt").write_text("none.png\n")
    (tmp_path / "some.csv").write_text("file\na.png\n")
    for source, message in {
        None: "dataset_dir is not set; give --dataset_dir\n  a folder",
        tmp_path / "none": "none does not exist; give --dataset_dir",
        tmp_path / "masks": "masks holds no image; give --dataset_dir",
        tmp_path / "empty.txt": "empty.txt lists no image",
        tmp_path / "missing.txt": r"missing.txt lists .*none.png, which is not there \(1 such line\(s\)\); mend",
        tmp_path / "some.csv": "some.csv has no column image; its columns are file",
    }.items():
        with pytest.raises(InputError, match=message):
            images_to_segment(source, output_dir=tmp_path / "out")
    with pytest.raises(InputError, match="is the folder of the images; set --output_dir to another for the masks"):
        images_to_segment(tmp_path, output_dir=tmp_path)
