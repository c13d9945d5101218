# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import logging
import unicodedata

import pytest

from scripts.common.errors import InputError
from scripts.data.layouts.files import first_names, folder_of, pairs
from scripts.data.layouts.folder import from_folder
from trees import folder, names


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


def test_facts_are_noted_of_every_pair(tmp_path):
    folder(tmp_path, "a/2.png", "a/10.png", "b/2_Mask.png", "b/10.tif")
    assert pairs(tmp_path / "a", tmp_path / "b", part="val") == [
        {"image": str(tmp_path / "a" / image), "label": str(tmp_path / "b" / mask), "part": "val"}
        for image, mask in (("10.png", "10.tif"), ("2.png", "2_Mask.png"))
    ]


def test_one_of_several_names_is_the_folder(tmp_path):
    (tmp_path / "labels").mkdir()
    assert folder_of(tmp_path, "masks", "labels", tree="\n  <tree>") == tmp_path / "labels"
    with pytest.raises(InputError) as none:
        folder_of(tmp_path, "a", "b", tree="\n  <tree>")
    assert str(none.value) == f"{tmp_path} has no folder a/ or b/; expected is\n  <tree>"


def test_a_message_names_three_files_at_most():
    assert first_names(["/x/a.png", "b.png"]) == "a.png, b.png"
    assert first_names([f"{i}.png" for i in range(4)]) == "0.png, 1.png, 2.png, ..."
