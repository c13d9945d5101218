# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from scripts.common.errors import InputError
from scripts.data.splits.choose import choose_fold
from scripts.data.splits.split import Split
from splits import DATALIST, NAMES, ROOT, split_of, together, written


def test_groups_and_near_duplicates_stay_together():
    alone = split_of(seed=1)
    assert not together(alone, 0, 5) and not together(alone, 0, 1)
    split = split_of(seed=1, group="p[0-9]+", duplicates=[(0, 5, 0.99)])
    assert together(split, 0, 1, 4, 5)  # patients 0 and 2, which share a picture
    assert split.groups == ["p0", "p0", "p1", "p1", "p0", "p0", "p3", "p3", "p4", "p4", "p5", "p5"]
    assert split_of(duplicates=[(2, 7, 1.0)]).groups[7] == NAMES[2]


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
