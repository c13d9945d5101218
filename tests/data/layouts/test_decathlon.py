# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import images
from scripts.common.errors import InputError
from scripts.data.layouts.decathlon import class_names_of_decathlon, from_decathlon


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


@pytest.mark.parametrize("labels, names", [
    ({"background": 0, "tumor": 1, "edema": 2}, ["background", "tumor", "edema"]),
    ({"0": "background", "2": "edema", "1": "tumor"}, ["background", "tumor", "edema"]),
    ({"tumor": "1", "background": "0"}, ["background", "tumor"]),
    (["background", "tumor"], ["background", "tumor"]),
    ({}, []),
    (None, []),
])
def test_names_of_classes(labels, names, tmp_path):
    dataset(tmp_path, {"training": [pair("a")], "labels": labels}, *files("a"))
    assert class_names_of_decathlon(tmp_path) == names
    assert len(from_decathlon(tmp_path)) == 1


@pytest.mark.parametrize("labels, message", [
    ({"background": 0, "tumor": 1, "ignore": 2}, r'has the label "ignore" .2., for pixels to be left out of the tra'),
    ({"0": "background", "1": "tumor", "255": "Ignore"}, r'has the label "Ignore" .255., for pixels to be left out'),
    ({"background": 0, "whole": [1, 2]}, r'has the label "whole" of several ids, .1, 2., which is a region; regi'),
    ({"background": 0, "tumor": 2}, r"has the labels .*, with ids that are not 0, 1, 2 ...; expected"),
    ({"background": 0, "tumor": 0}, "has the labels .*, with ids that are not 0, 1, 2"),
    ({"background": 0, "tumor": 1.5}, r'has the label "tumor": 1.5; expected is'),
    ({"background": 0, "tumor": True}, r'has the label "tumor": True; expected is'),
    ("tumor", "has the labels 'tumor'; expected is"),
])
@pytest.mark.parametrize("nnunet", [False, True])
def test_labels_that_are_no_classes(nnunet, labels, message, tmp_path):
    content = {"file_ending": ".png"} if nnunet else {"training": [pair("a")]}
    dataset(tmp_path, {**content, "labels": labels}, *files("a"))
    with pytest.raises(InputError, match=f"dataset.json {message}"):
        from_decathlon(tmp_path)


def test_folds_of_training_images(tmp_path):
    content: dict[str, Any] = {"training": [{**pair(name), "fold": i} for i, name in enumerate("ab")]}
    assert [item["fold"] for item in from_decathlon(dataset(tmp_path, content, *files("a", "b", "c")))] == [0, 1]
    content["testing"] = [pair("c")]
    items = from_decathlon(dataset(tmp_path, content))
    assert [item.get("fold") for item in items] == [0, 1, None] and items[2]["part"] == "test"
    for wrong in ("1", None, True):
        content["training"][1]["fold"] = wrong
        with pytest.raises(InputError, match="gives a fold to some training images, and .* to ./imagesTr/b.png; giv"):
            from_decathlon(dataset(tmp_path, content))
