# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import re

import pytest

from scripts.common.errors import InputError
from scripts.data.layouts.registry import LAYOUTS, Layout, read_layout
from trees import folder, overlay
from workflows import BUNDLE, CONFIGS


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


@pytest.mark.parametrize("sign, name", [
    ("stage1_train", "dsb2018"),
    ("malignant", "busi"),
    ("train_gt", "bkai"),
    ("ISBI2016_ISIC_Part1_Training_Data", "isic2016"),
    ("train/Original", "fives"),
])
def test_other_layouts_are_recognized(sign, name, tmp_path):
    (tmp_path / sign).mkdir(parents=True)
    cure = f"add configs/datasets/{name}.json to --config_file"
    with pytest.raises(InputError, match=f"is laid out as {name}, as it has {sign}; {cure}"):
        read_layout("folder", tmp_path)


def test_a_folder_whose_name_is_too_long_does_not_exist(tmp_path):
    with pytest.raises(InputError, match="x does not exist; give --dataset_dir an existing folder"):
        read_layout("folder", tmp_path / ("x" * 5000))


def test_a_layout_without_an_overlay_is_recognized_by_a_file(tmp_path, monkeypatch):
    monkeypatch.setitem(LAYOUTS, "boxes", Layout(lambda dataset_dir: [], sign="boxes.json"))
    (tmp_path / "boxes.json").touch()
    with pytest.raises(InputError, match="is laid out as boxes, as it has boxes.json; add --layout boxes$"):
        read_layout("folder", tmp_path)
    assert read_layout("boxes", tmp_path) == []


@pytest.mark.parametrize("function", [layout.list_items for layout in LAYOUTS.values()])
def test_no_folder(function, tmp_path):
    with pytest.raises(InputError, match="dataset_dir is not set; give --dataset_dir a folder:\n  <dataset_dir>/"):
        function(None)
    with pytest.raises(InputError, match="none does not exist; give --dataset_dir an existing folder:\n  <data"):
        function(tmp_path / "none")
    with pytest.raises(InputError, match="a.png is not a folder; give --dataset_dir a folder:\n  <dataset_dir>/"):
        function(folder(tmp_path, "a.png") / "a.png")


def test_the_page_has_all_layouts():
    page = (BUNDLE / "docs" / "data.md").read_text(encoding="utf-8")
    table = page.split("\n| layout | dataset | ")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == list(LAYOUTS)


def test_images_that_a_config_lists_take_the_place_of_those_in_the_folder(tmp_path):
    listed = [{"image": "a.png", "label": "b.png", "part": "train"}]
    assert read_layout("busi", tmp_path / "none", listed) == listed
    with pytest.raises(InputError, match="layout is 'nnunet'"):
        read_layout("nnunet", tmp_path, listed)
