# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from scripts.common.errors import InputError
from scripts.data.splits.files import read_split, write_split
from scripts.data.splits.split import Fold
from splits import DATALIST, NAMES, ROOT, split_of, written


def test_a_written_split_is_read_back(tmp_path):
    split = split_of(group="p[0-9]+")
    path = write_split(split, tmp_path / "made" / "split.json")
    read = split_of(split=path, num_folds=5, seed=7)  # the file has the last word
    assert (read.folds, read.groups, read.digest) == (split.folds, split.groups, split.digest)
    content = json.loads(Path(path).read_text())
    assert content["digest"] == split.digest and content["folds"][0]["test"][0] in NAMES
    elsewhere = [{**item, "image": item["image"].replace(ROOT, "/other")} for item in reversed(DATALIST)]
    moved = read_split(path, elsewhere, "/other")
    assert moved.digest == split.digest  # in spite of another order and place


def test_a_split_of_all_images_is_read_back(tmp_path):
    split = split_of(split="all")
    assert not split.folds[0].test
    assert split_of(split=write_split(split, tmp_path / "split.json")).folds == split.folds


def test_folds_of_nnunet(tmp_path):
    names = [Path(name).stem for name in NAMES]
    split = read_split(written(tmp_path, [{"train": names[:8], "val": names[8:]}]), DATALIST, ROOT)
    assert split.folds == [Fold([*range(8)], [], [8, 9, 10, 11])]  # what is scored chooses no epoch
    with_channel = [{"image": f"{ROOT}/imagesTr/{name}_0000.png"} for name in names]
    assert read_split(tmp_path / "folds.json", with_channel, ROOT).folds == split.folds


def test_val_beside_test_chooses_the_epoch(tmp_path):
    content = [{"train": NAMES[:4], "val": NAMES[4:6], "test": NAMES[6:]}]
    assert read_split(written(tmp_path, content), DATALIST, ROOT).folds == [Fold([0, 1, 2, 3], [4, 5], [*range(6, 12)])]


def test_images_are_named_by_path_file_name_or_stem(tmp_path):
    content = [{"train": [NAMES[0], "p0_1.png", "p1_2"], "test": NAMES[4:]}]
    assert read_split(written(tmp_path, content), DATALIST, ROOT).folds[0].train == [0, 1, 2]


def test_images_in_no_fold_are_left_out_and_counted(tmp_path, caplog):
    content = {"folds": [{"train": NAMES[:4], "validate": NAMES[4:6], "test": NAMES[6:9]}]}
    with caplog.at_level(logging.WARNING, logger="qtseg"):
        split = read_split(written(tmp_path, content), DATALIST, ROOT)
    assert split.folds == [Fold([0, 1, 2, 3], [4, 5], [6, 7, 8])]
    assert "3 of 12 images are in no fold of" in caplog.text


@pytest.mark.parametrize("content, message", [
    ("{", "split names .*folds.json, which cannot be read"),
    ({"folds": []}, r'folds.json holds no folds; expected is \[{"train"'),
    ("[1]", "holds no folds"),
    ([{"train": ["images/none.png"], "test": NAMES[:1]}], "fold 0, names images/none.png, which is no image of the"),
    ([{"train": NAMES[:1]}], "fold 0, has nothing to score; name images in its val or test"),
    ([{"test": NAMES[:1]}], "fold 0, has nothing to train on; name images in its train"),
    ([{"train": NAMES[:2], "test": NAMES[1:2]}], "fold 0, has images/p0_1.png in two parts; keep it in one"),
    ([{"train": NAMES[:2], "validate": NAMES[:1], "test": NAMES[4:]}], "fold 0, has images/p0_0.png in two parts"),
    ([{"train": NAMES[:2], "validate": NAMES[3:4], "test": NAMES[3:]}], "fold 0, has images/p1_3.png in two parts"),
    ([{"train": [NAMES[:2]], "test": NAMES[3:]}], "fold 0, has a train that is no list of image names"),
    ([{"train": NAMES[0], "test": NAMES[3:]}], "fold 0, has a train that is no list of image names"),
    ([{"train": [NAMES[0], "p0_0.png"], "test": NAMES[3:]}], "fold 0, names p0_0.png twice in its train; name it once"),
    ({"folds": [{"train": NAMES[:2], "test": NAMES[3:]}], "groups": ["p0"]}, "has groups that are no .* mend them"),
    ({"folds": [{"train": NAMES[:2], "test": NAMES[3:]}], "groups": {"q": "p"}}, "gives a group to q, which is no"),
])
def test_wrong_files(content, message, tmp_path):
    with pytest.raises(InputError, match=message):
        split_of(split=str(written(tmp_path, content)))


def test_no_file():
    with pytest.raises(InputError, match="split names none.json, which cannot be read .*No such file"):
        split_of(split="none.json")
