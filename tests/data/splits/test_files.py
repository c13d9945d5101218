# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from scripts.common.errors import InputError
from scripts.data.splits.choose import choose_fold, split_images
from scripts.data.splits.files import read_split, write_split
from scripts.data.splits.split import Fold, Split, relative_names
from scripts.data.survey import Facts

ROOT = "/data/my set"
NAMES = [f"images/p{i // 2}_{i}.png" for i in range(12)]
DATALIST = [{"image": f"{ROOT}/{name}", "label": f"{ROOT}/masks/{Path(name).name}"} for name in NAMES]
FACTS = [Facts(item["image"], pixels=[9, 1]) for item in DATALIST]


def split_of(**options: Any) -> Split:
    settings: dict[str, Any] = {
        "split": None,
        "group": None,
        "stratify": False,
        "num_folds": 3,
        "remainder": "spread",
        "protocol": "held-out",
        "validation_share": 0.25,
        "seed": 0,
    }
    return split_images(DATALIST, root=ROOT, facts=FACTS, **{"duplicates": [], **settings, **options})


def together(split: Split, *positions: int) -> bool:
    """Whether no fold parts these images."""
    return all(
        len({part for part in ("train", "validate", "test") for i in positions if i in getattr(fold, part)}) == 1
        for fold in split.folds
    )


def test_groups_and_near_duplicates_stay_together():
    alone = split_of(seed=1)
    assert not together(alone, 0, 5) and not together(alone, 0, 1)
    split = split_of(seed=1, group="p[0-9]+", duplicates=[(0, 5, 0.99)])
    assert together(split, 0, 1, 4, 5)  # patients 0 and 2, which share a picture
    assert split.groups == ["p0", "p0", "p1", "p1", "p0", "p0", "p3", "p3", "p4", "p4", "p5", "p5"]
    assert split_of(duplicates=[(2, 7, 1.0)]).groups[7] == NAMES[2]


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


def test_the_digest_changes_with_any_fold():
    assert split_of().digest == split_of().digest
    assert len({split.digest for split in (split_of(), split_of(seed=1), split_of(num_folds=2))}) == 3
    assert split_of(protocol="paper").digest != split_of().digest


def written(folder: Path, content: Any) -> Path:
    path = folder / "folds.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_folds_of_nnunet(tmp_path):
    names = [Path(name).stem for name in NAMES]
    split = read_split(written(tmp_path, [{"train": names[:8], "val": names[8:]}]), DATALIST, ROOT)
    assert split.folds == [Fold([*range(8)], [], [8, 9, 10, 11])]  # what is scored chooses no epoch
    with_channel = [{"image": f"{ROOT}/imagesTr/{name}_0000.png"} for name in names]
    assert read_split(tmp_path / "folds.json", with_channel, ROOT).folds == split.folds


def test_val_beside_test_chooses_the_epoch(tmp_path):
    content = [{"train": NAMES[:4], "val": NAMES[4:6], "test": NAMES[6:]}]
    assert read_split(written(tmp_path, content), DATALIST, ROOT).folds == [Fold([0, 1, 2, 3], [4, 5], [*range(6, 12)])]


def test_the_protocol_completes_the_folds_of_a_file(tmp_path):
    path = str(written(tmp_path, [{"train": NAMES[:8], "val": NAMES[8:]}]))
    (held_out,), (paper,) = split_of(split=path).folds, split_of(split=path, protocol="paper").folds
    assert len(held_out.validate) == 2 and sorted(held_out.train + held_out.validate) == [*range(8)]
    assert held_out.test == paper.test == paper.validate == [8, 9, 10, 11]


def test_images_of_a_file_belong_together_by_the_rule_the_file_or_their_pixels(tmp_path):
    content = {"folds": [{"train": NAMES[:8], "test": NAMES[8:]}], "groups": {NAMES[0]: "q", "p2_5": "q"}}
    path = str(written(tmp_path, content))
    for seed in range(10):
        of_file = split_of(split=path, seed=seed, duplicates=[(1, 4, 1.0)])
        assert together(of_file, 0, 5) and together(of_file, 1, 4)
        assert together(split_of(split=path, seed=seed, group="p[0-9]+"), 2, 3)
    assert of_file.groups[:6] == ["q", NAMES[1], NAMES[2], NAMES[3], NAMES[1], "q"]


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


def test_the_images_of_a_fold():
    split = split_of(group="p[0-9]+")
    chosen = choose_fold(split, 1, DATALIST)
    assert list(chosen) == ["train", "validate", "test"]
    assert [item["image"] for item in chosen["test"]] == [f"{ROOT}/{NAMES[i]}" for i in split.folds[1].test]
    assert chosen["train"][0] == {**DATALIST[split.folds[1].train[0]], "group": split.groups[split.folds[1].train[0]]}
    with pytest.raises(InputError, match=r"fold is 3, but the split has 3 fold\(s\); use 0 to 2"):
        choose_fold(split, 3, DATALIST)
    single = Split(split.folds[:1], split.groups, split.images)
    with pytest.raises(InputError, match=r"fold is 1, but the split has 1 fold\(s\); use 0, or --split grouped"):
        choose_fold(single, 1, DATALIST)


def test_names_are_relative_to_the_dataset():
    assert relative_names(DATALIST[:1], ROOT) == ["images/p0_0.png"]
