# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import images
from scripts.common.errors import InputError
from scripts.data.layouts.decathlon import from_decathlon


def dataset(root: Path, content: Any, *names: str) -> Path:
    """Write ``dataset.json``, and an image (or its mask) under every name."""
    for name in names:
        images.save(root / name, images.marked())
    (root / "dataset.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def pair(name: str) -> dict[str, str]:
    return {"image": f"./imagesTr/{name}.png", "label": f"./labelsTr/{name}.png"}


def files(*names: str) -> list[str]:
    return [f"{folder}/{name}.png" for name in names for folder in ("imagesTr", "labelsTr")]


def test_lists_of_training_images(tmp_path):
    content = {"training": [pair("b"), pair("a")], "test": ["./imagesTs/c.png"], "labels": {"0": "background"}}
    assert from_decathlon(dataset(tmp_path, content, *files("a", "b"))) == [
        {"image": str(tmp_path / f"imagesTr/{name}.png"), "label": str(tmp_path / f"labelsTr/{name}.png")}
        for name in ("b", "a")
    ]


def test_lists_of_parts(tmp_path):
    content = {"training": [pair("a")], "validation": [pair("b")], "testing": [pair("c"), {"image": "d.png"}]}
    items = from_decathlon(dataset(tmp_path, content, *files("a", "b", "c")))
    assert [(Path(item["image"]).stem, item["part"]) for item in items] == [("a", "train"), ("b", "val"), ("c", "test")]


def test_nnunet(tmp_path):
    content = {"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": {"background": 0}, "file_ending": ".png"}
    names = ["imagesTr/b_0000.png", "labelsTr/b.png", "imagesTr/a_1_0000.png", "labelsTr/a_1.png"]
    names.append("imagesTs/c_0000.png")
    items = from_decathlon(dataset(tmp_path, content, *names))
    assert [Path(item["label"]).name for item in items] == ["a_1.png", "b.png"]
    assert [Path(item["image"]).name for item in items] == ["a_1_0000.png", "b_0000.png"]
    assert "part" not in items[0]
    images.save(tmp_path / "labelsTs/c.png", images.marked())
    assert [item["part"] for item in from_decathlon(tmp_path)] == ["train", "train", "test"]
    (tmp_path / "labelsTr/d.nii.gz").touch()
    with pytest.raises(InputError, match="d.nii.gz has no image d_0000.nii.gz in"):
        from_decathlon(tmp_path)
    (tmp_path / "imagesTr/d_0000.nii.gz").touch()
    assert "d_0000.nii.gz" in [Path(item["image"]).name for item in from_decathlon(tmp_path)]


@pytest.mark.parametrize("content, names, message", [
    ("{", [], "dataset.json cannot be read .*; expected is\n  <dataset_dir>/dataset.json"),
    ([], [], "dataset.json is no JSON object; expected is"),
    ({}, [], "dataset.json lists no image with a mask; expected is"),
    ({"training": {}}, [], "dataset.json has a dict where a list is expected"),
    ({"training": [pair("a"), "b.png"]}, files("a"), "among its training images; expected is"),
    ({"training": [{"image": ["a.png"], "label": "b.png"}]}, [], r"names \['a.png'\]; expected is the path of one"),
    ({"training": [pair("a")]}, [], r"lists ./imagesTr/a.png, but there is no .*imagesTr/a.png; add the file"),
    ({"training": [{"image": "dataset.json", "label": "b"}]}, [], "lists dataset.json, which is no 2D image; save PNG"),
    (
        {"training": [pair("a"), pair("b")], "test": [{**pair("b"), "image": "imagesTr/../imagesTr/b.png"}]},
        files("a", "b"),
        "lists .*imagesTr/b.png 2 times; leave it in one place",
    ),
    ({"file_ending": ".png"}, ["imagesTr/a_0000.png"], "has no folder labelsTr/; expected is"),
    ({"file_ending": ".png"}, files("a"), "labelsTr/a.png has no image a_0000.png in .*imagesTr; add it"),
    (
        {"file_ending": ".png"},
        ["imagesTr/a_0000.png", "imagesTr/a_0001.png", "labelsTr/a.png"],
        "a_0000.png is one of several files of an image, one for each channel; save them as one",
    ),
    (
        {"file_ending": ".png"},
        ["imagesTr/a_0000.png", "imagesTr/b_0000.png", "labelsTr/a.png"],
        "b_0000.png has no mask of the same name in .*labelsTr",
    ),
])
def test_wrong_datasets(content, names, message, tmp_path):
    with pytest.raises(InputError, match=message):
        from_decathlon(dataset(tmp_path, content, *names))


def test_no_dataset_json(tmp_path):
    with pytest.raises(InputError, match="has no file dataset.json; expected is\n  <dataset_dir>/dataset.json"):
        from_decathlon(tmp_path)
