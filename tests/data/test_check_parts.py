# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from scripts.data.check_parts import lost_contrast, other_classes
from scripts.data.survey import Facts

GOOD = Facts("good.png", low=0, high=255, contrast=0.9, cut_off=0.2)


def test_images_that_lose_contrast_are_named_with_the_knob_that_keeps_it():
    stretched = Facts("stretched.png", low=0, high=255, contrast=0.2)
    sparse = Facts("sparse.png", low=0, high=255, contrast=0.1, cut_off=0.9)
    constant = Facts("constant.png", low=3, high=3, contrast=0)
    images = [GOOD, stretched, sparse, constant]
    (problem,) = lost_contrast(images, "min_max")
    assert problem["files"] == ["stretched.png", "sparse.png"] and not problem["fatal"]
    assert "2 image(s) have a few pixels that stretch" in problem["text"]
    assert "--intensities percentiles" in problem["text"]
    (problem,) = lost_contrast(images, "percentiles")
    assert problem["files"] == ["sparse.png"] and not problem["fatal"]
    assert problem["text"] == (
        "1 image(s) have objects so small and bright, or dark, that most of their pixels are cut off as outliers; set "
        "--intensities min_max if these matter"
    )
    assert lost_contrast([GOOD], "min_max") == lost_contrast([GOOD], "percentiles") == []


@pytest.mark.parametrize("names, classes", [([], 2), (["background"], 2), (["background", "tumor"], 2)])
def test_as_many_classes_as_the_network_has_are_no_problem(names, classes):
    assert other_classes([GOOD], names, classes, training=True) == []


@pytest.mark.parametrize("training", [True, False])
def test_other_classes_than_the_network_has_end_a_training(training):
    (problem,) = other_classes([GOOD], ["background", "tumor", "edema"], 2, training)
    assert problem["fatal"] == training and problem["text"] == (
        "the dataset names 3 classes (background, tumor, edema), but out_channels is 2; set --out_channels 3, or "
        "correct the labels in its dataset.json"
    )
