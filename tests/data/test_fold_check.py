# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import pytest

from scripts.common.errors import InputError
from scripts.data.fold_check import check_folds
from scripts.data.splits.split import Fold, Split
from scripts.data.survey import Facts

KNOBS = {
    "batch_size": 4, "crops_per_image": 4, "geometry": "fit", "max_epochs": 100, "num_folds": 3, "split": None,
    "stratify": False,
}  # fmt: skip
FOLDS = [Fold(list(range(10, 30)), list(range(5, 10)), list(range(5))), Fold([0, 1, 2, 3], [4], [5, 6])]


def check(folds: list[Fold], rare: tuple[int, ...] = (), number: int = 0, **knobs: Any) -> list[dict[str, Any]]:
    """Check one fold of 30 images, all with class 1, and some with the rare class 2."""
    facts = [Facts(f"{i}.png", pixels=[90, 10, int(i in rare)]) for i in range(30)]
    names = [image.image for image in facts]
    return check_folds(Split(folds, names, names), [number], facts, {**KNOBS, **knobs})


def texts(*args: Any, **options: Any) -> list[str]:
    problems = check(*args, **options)
    assert not any(problem["fatal"] for problem in problems)
    return [problem["text"] for problem in problems]


def test_a_large_fold_with_all_classes_everywhere_has_no_problem():
    assert check(FOLDS[:1], rare=(0, 5, 10)) == check(FOLDS[:1]) == []


@pytest.mark.parametrize("rare, options, text", [
    (
        (0,),
        {},
        "fold 0: class 2 is in 1 image of 30, but in none to train on or choose the epoch on, so it cannot be learned; "
        "add images with the class, or leave the class out",
    ),
    (
        (0, 1, 5),
        {},
        "fold 0: class 2 is in 3 images of 30, but in none to train on, so it cannot be learned; --split grouped "
        "--stratify true spreads it",
    ),
    (
        (10, 11, 12),
        {"split": "official"},
        "fold 0: class 2 is in 3 images of 30, but in none to choose the epoch on or score, so the scores of this "
        "class say nothing there; --split grouped --stratify true spreads it",
    ),
    (
        (5, 10, 11),
        {"stratify": True},
        "fold 0: class 2 is in 3 images of 30, but in none to score, so the scores of this class say nothing there; "
        "add images with the class, or leave the class out",
    ),
])
def test_a_class_that_a_part_lacks(rare, options, text):
    (problem,) = check(FOLDS[:1], rare=rare, **options)
    assert problem["text"] == text and problem["kind"] == "unevenly spread class"
    assert sorted(problem["files"]) == sorted(f"{i}.png" for i in rare)


def test_stratified_folds_are_advised_for_random_ones():
    (text, *_) = texts([*FOLDS], rare=(0, 1, 2, 3))
    assert text.endswith("so it cannot be learned; --stratify true spreads it")
    (text, *_) = texts([*FOLDS], rare=(0, 1, 2, 3), split="slices")
    assert text.endswith("so it cannot be learned; --split grouped --stratify true spreads it")


def test_few_images_to_score_or_to_choose_the_epoch_on():
    assert texts(FOLDS, number=1) == [
        "fold 1: 2 images to score, which leaves that to chance; add images, or cross-validate, so that all images are "
        "scored",
        "fold 1: 1 image to choose the epoch on, which leaves that to chance; add images, or raise --validation_share",
    ]
    both = [Fold(list(range(20)), [20, 21, 22], [20, 21, 22])]  # the paper's protocol
    (problem,) = check(both)
    assert problem["files"] == ["20.png", "21.png", "22.png"] and problem["text"] == (
        "fold 0: 3 images to score and to choose the epoch on, which leaves that to chance; add images, or "
        "cross-validate, so that all images are scored"
    )
    assert check([Fold(list(range(20)), list(range(20, 24)), list(range(24, 28)))]) == []
    assert check([Fold(list(range(20)), list(range(20, 30)), [])]) == []  # nothing is to be scored


@pytest.mark.parametrize("knobs, steps", [
    ({"max_epochs": 2}, 10),
    ({"max_epochs": 20}, None),  # 100 steps
    ({"max_epochs": 3, "batch_size": 64}, 3),  # one step for all images
    ({"max_epochs": 4, "geometry": "native"}, 80),  # 4 windows of one image
    ({"max_epochs": 4, "geometry": "native", "batch_size": 2}, 80),
    ({"max_epochs": 4, "geometry": "native", "batch_size": 8}, 40),
])
def test_few_steps(knobs, steps):
    expected = f"fold 0: the training has {steps} steps in all, which is too few to learn much; raise --max_epochs, or"
    assert texts(FOLDS[:1], **knobs) == ([f"{expected} lower --batch_size"] if steps else [])


def test_one_image_in_a_step_cannot_be_fewer():
    (text,) = texts(FOLDS[:1], max_epochs=1, batch_size=1)
    assert text.endswith("20 steps in all, which is too few to learn much; raise --max_epochs")


def test_a_fold_that_is_not_there():
    with pytest.raises(InputError, match="fold is 2, but the split has 2"):
        check(FOLDS, number=2)
