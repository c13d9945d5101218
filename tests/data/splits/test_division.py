# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from scripts.common.errors import InputError
from scripts.data.splits.division import divide
from scripts.data.splits.split import Fold


def numbered(count: int, **facts: Any) -> list[dict]:
    return [{"image": f"{i:04}.png", **facts} for i in range(count)]


def folds_of(datalist: list[dict], **options: Any) -> list[Fold]:
    settings = {
        "split": "grouped",
        "groups": range(len(datalist)),
        "strata": None,
        "num_folds": 5,
        "remainder": "spread",
        "protocol": "held-out",
        "validation_share": 0.1,
        "seed": 0,
    }
    return divide(datalist, **{**settings, **options})


def parts(fold: Fold) -> tuple[list[int], ...]:
    return fold.train, fold.validate, fold.test


def test_the_folds_that_a_dataset_names():
    named = [{**item, "fold": i % 2} for i, item in enumerate(numbered(8))]
    assert [fold.test for fold in folds_of(named, split=None)] == [[0, 2, 4, 6], [1, 3, 5, 7]]
    first, second = folds_of(named[:4], split=None, protocol="paper")  # fewer images than num_folds
    assert parts(first) == ([1, 3], [0, 2], [0, 2]) and parts(second) == ([0, 2], [1, 3], [1, 3])
    assert len(folds_of(named, split="grouped", num_folds=4)) == 4
    with pytest.raises(InputError, match="gives its images the folds 1, 2; number them from 0, at least 2 of them, or"):
        folds_of([{**item, "fold": item["fold"] + 1} for item in named], split=None)
    with_parts = [{**item, "part": "train"} for item in named] + numbered(1, part="test")
    with pytest.raises(InputError, match="folds to its training images, and also .*; set --split official to score"):
        folds_of(with_parts, split=None)
    assert parts(folds_of(with_parts, split="official")[0])[2] == [8]


# slices


@pytest.mark.parametrize("count, num_folds", [(10, 5), (13, 5), (4, 2), (670, 5)])
@pytest.mark.parametrize("remainder", ["spread", "train"])
def test_slices_part_the_images(count, num_folds, remainder):
    folds = folds_of(numbered(count), split="slices", num_folds=num_folds, remainder=remainder, protocol="paper")
    scored = [i for fold in folds for i in fold.test]
    assert scored == list(range(count if remainder == "spread" else count // num_folds * num_folds))
    for fold in folds:
        assert len(fold.test) in (count // num_folds, count // num_folds + (remainder == "spread"))
        assert sorted(fold.train + fold.test) == list(range(count))
        assert fold.train == [i for i in range(count) if i not in fold.test]
        assert fold.validate == fold.test  # the paper's protocol


def test_the_remainder_of_slices():
    sizes = {
        remainder: [len(fold.test) for fold in folds_of(numbered(13), split="slices", remainder=remainder)]
        for remainder in ("spread", "train")
    }
    assert sizes == {"spread": [3, 3, 3, 2, 2], "train": [2, 2, 2, 2, 2]}
    assert folds_of(numbered(13), split="slices", remainder="train")[1].test == [2, 3]
    assert folds_of(numbered(13), split="slices")[3].test == [9, 10]


def test_slices_of_each_stratum_as_for_busi():
    busi = [*numbered(437, stratum="benign"), *numbered(210, stratum="malignant")]
    folds = folds_of(busi, split="slices", remainder="train", protocol="paper")
    assert folds[0].test == [*range(87), *range(437, 479)]
    assert folds[4].test == [*range(348, 435), *range(605, 647)]
    assert all(len(fold.test) == 129 for fold in folds)


# official parts


def test_official_parts_are_one_fold():
    items = [*numbered(20, part="train"), *numbered(5, part="val"), *numbered(6, part="test")]
    (fold,) = folds_of(items, split=None)
    assert parts(fold) == ([*range(20)], [*range(20, 25)], [*range(25, 31)])
    (fold,) = folds_of(items, split=None, protocol="paper")
    assert fold.validate == fold.test == [*range(25, 31)]
    assert fold.train == [*range(25)]  # what chooses no epoch is trained on


def test_without_validation_images_some_are_set_aside():
    (fold,) = folds_of([*numbered(20, part="train"), *numbered(6, part="test")], split="official")
    assert fold.test == [*range(20, 26)]
    assert len(fold.validate) == 2 and sorted(fold.train + fold.validate) == [*range(20)]


def test_without_test_images_those_of_val_are_scored():
    (fold,) = folds_of([*numbered(20, part="train"), *numbered(6, part="val")], split="official")
    assert fold.test == [*range(20, 26)] and len(fold.validate) == 2


# all images


def test_all_images_are_trained_on_but_those_that_choose_the_epoch():
    items = [*numbered(20, part="train"), *numbered(6, part="test")]
    groups = [i // 2 for i in range(26)]
    (fold,) = folds_of(items, split="all", groups=groups)
    assert fold.test == [] and sorted(fold.train + fold.validate) == [*range(26)]
    assert len(fold.validate) == 2 and len({groups[i] for i in fold.validate}) == 1
    assert len(folds_of(numbered(3), split="all")) == 1


# groups


def test_grouped_folds_never_part_a_group():
    random = np.random.default_rng(0)
    for trial in range(40):
        count = int(random.integers(40, 200))
        groups = random.integers(0, int(random.integers(12, 40)), count).tolist()
        strata = random.integers(0, 3, count).tolist() if trial % 2 else None
        num_folds = int(random.integers(2, 6))
        folds = folds_of(numbered(count), groups=groups, strata=strata, num_folds=num_folds, seed=trial)
        assert sorted(i for fold in folds for i in fold.test) == list(range(count))
        for fold in folds:
            assert sorted(itertools.chain(*parts(fold))) == list(range(count))
            assert all(parts(fold))
            kinds = [{groups[i] for i in part} for part in parts(fold)]
            assert not (kinds[0] & kinds[1] or kinds[0] & kinds[2] or kinds[1] & kinds[2])


def test_grouped_folds_are_of_about_equal_size_and_shuffled():
    groups = [i // 3 for i in range(90)]
    folds = folds_of(numbered(90), groups=groups)
    assert [len(fold.test) for fold in folds] == [18] * 5
    assert all(len(fold.validate) == 6 for fold in folds)
    assert folds[0].test != folds_of(numbered(90), groups=groups, seed=1)[0].test
    assert folds == folds_of(numbered(90), groups=groups)
    assert any(b - a > 1 for a, b in itertools.pairwise(sorted({groups[i] for i in folds[0].test})))


def test_what_is_set_aside_is_near_its_share_though_groups_differ_in_size():
    groups = [0] * 60 + [1 + i // 5 for i in range(60)]
    for fold in folds_of(numbered(120), groups=groups):
        assert len(fold.validate) <= 12


def test_strata_are_spread_evenly():
    strata = ["rare" if i % 10 == 0 else "common" for i in range(100)]
    for fold in folds_of(numbered(100), strata=strata):
        assert sum(strata[i] == "rare" for i in fold.test) == 2


def test_what_is_set_aside_is_no_test_image_in_any_protocol():
    held_out = folds_of(numbered(50))
    paper = folds_of(numbered(50), protocol="paper")
    assert [fold.test for fold in held_out] == [fold.test for fold in paper]
    assert all(len(fold.validate) == 4 for fold in held_out)


@pytest.mark.parametrize("options, message", [
    ({"split": "random"}, "split is 'random'; use one of 'grouped', 'slices', 'official', 'all', or the path of"),
    ({"split": "official"}, "split is 'official', but the dataset has no official parts; use 'grouped'"),
    ({"protocol": "best"}, "protocol is 'best'; use one of 'held-out', 'paper'"),
    ({"split": "all", "protocol": "paper"}, "but fold 0 scores none; set --protocol held-out"),
    ({"num_folds": 1}, "num_folds is 1; use 2 or more"),
    ({"num_folds": 8}, r"num_folds is 8 for 7 image\(s\); add images, or use fewer folds"),
    ({"split": "slices", "remainder": "drop"}, "remainder is 'drop'; use \"spread\" or \"train\""),
    ({"validation_share": "abc"}, "validation_share is 'abc'; use more than 0"),
    ({"validation_share": 0}, "validation_share is 0; use more than 0 and at most 0.5"),
    ({"groups": [0, 0, 0, 1, 1, 2, 3]}, r"num_folds is 5, but the 7 images are 4 group\(s\) that stay together"),
    ({"groups": [0, 0, 0, 0, 1, 1, 1], "num_folds": 2}, "fold 0 has 1 group to train on, so none can be set aside"),
])
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        folds_of(numbered(7), **options)
