# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

import pytest
from monai.bundle import ConfigParser

from scripts.common.errors import InputError
from scripts.data.layouts.listed import Listed, listed_images
from workflows import CONFIGS, causes, run

EXPRESSION = "$@data.train"


def listed(train: object, validate: object) -> Listed | None:
    parser = ConfigParser(
        {
            "found": {"_target_": "scripts.data.layouts.listed.listed_images"},
            "train": {"dataset": {"data": train}},
            "validate": {"dataset": {"data": validate}},
        }
    )
    return parser.get_parsed_content("found")


def pairs(folder: str, names: str) -> list[dict[str, str]]:
    return [{"image": f"{folder}/{name}.png", "label": f"{folder}/labels/{name}.nii.gz"} for name in names]


def test_what_the_config_says_by_itself_is_no_list():
    train = json.loads((CONFIGS / "train.json").read_text())
    assert listed(train["train"]["dataset"]["data"], train["validate"]["dataset"]["data"]) is None


def test_lists_are_trained_on_and_scored():
    found = listed(pairs("/data/a", "cd"), pairs("/data/b", "e"))
    assert found.folder == "/data"
    assert [item["part"] for item in found.items] == ["train", "train", "test"]
    assert found.items[2]["image"] == "/data/b/e.png" and found.items[2]["label"] == "/data/b/labels/e.nii.gz"


@pytest.mark.parametrize(
    "train, validate, told",
    [
        (pairs("/a", "b"), [], "validate#dataset#data has no image"),
        ([], pairs("/a", "b"), "train#dataset#data has no image"),
        (pairs("/a", "b"), EXPRESSION, "validate#dataset#data has no list"),
        ([{"image": "/a/b.png"}], pairs("/a", "b"), "train#dataset#data has the entry {'image': '/a/b.png'}; expected"),
        (["/a/b.png"], pairs("/a", "b"), "train#dataset#data has the entry '/a/b.png'"),
    ],
)
def test_half_a_list_is_refused(train, validate, told):
    with pytest.raises(RuntimeError) as caught:
        listed(train, validate)
    (error,) = (error for error in causes(caught.value) if isinstance(error, InputError))
    assert told in str(error)


def test_only_a_config_lists():
    with pytest.raises(RuntimeError, match="no MONAI bundle config is among the callers"):
        listed_images()


def test_a_training_on_lists_says_so_in_its_settings(blobs, tmp_path):
    all_pairs = [
        {"image": str(image), "label": str(blobs / "masks" / f"{image.stem}.png")}
        for image in sorted((blobs / "images").iterdir())
    ]
    lists = {"train#dataset#data": all_pairs[:6], "validate#dataset#data": all_pairs[6:8]}
    folders = {"ckpt_dir": str(tmp_path / "models"), "output_dir": str(tmp_path / "eval")}
    run("train", run_id="training", max_epochs=1, spatial_size=[64, 64], **folders, **lists)
    settings = json.loads((tmp_path / "models" / "model.json").read_text())
    images = settings["images"]
    assert {name: image["part"] for name, image in images.items()} == {
        item["image"].split("/")[-1]: "train" if i < 6 else "test" for i, item in enumerate(all_pairs[:8])
    }
    assert settings["dataset_dir"] == str(blobs / "images") and settings["protocol"] == "paper"
