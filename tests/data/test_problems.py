# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import pytest

from scripts.data.duplicates import NearDuplicates
from scripts.data.problems import find_problems
from scripts.data.survey import Facts


def facts(name: str, **changes: Any) -> Facts:
    seen: dict[str, Any] = {
        "size": (100, 200), "low": 0, "high": 255, "pixels": [19000, 1000], "objects": [[0, 0, 4]], "widths": [20.0],
    }  # fmt: skip
    return Facts(f"/data/images/{name}.png", **{**seen, **changes})


GOOD = [facts(str(i)) for i in range(40)]


def problems(found: list[Facts], **options: Any) -> list[dict[str, Any]]:
    settings = {"out_channels": 2, "colors": None, "spatial_size": (64, 64), "training": True}
    return find_problems(found, options.pop("duplicates", NearDuplicates()), **{**settings, **options})


@pytest.mark.parametrize("changes, kind, one, two", [
    ({"pixels": [20000, 0], "objects": [[]], "widths": [None]}, "empty mask", "1 mask is empty", "2 masks are empty"),
    (
        {"pixels": [1000, 19000]},
        "full mask",
        "1 mask covers nearly all of the image; inverted?",
        "2 masks cover nearly all of the image; inverted?",
    ),
    (
        {"smeared": 0.01},
        "smeared mask",
        "1 mask has values between background and object, as from gray edges or JPEG; they are cut at half of full "
        "scale",
        "2 masks have values between background and object, as from gray edges or JPEG; they are cut at half of full "
        "scale",
    ),
    (
        {"low": 7, "high": 7},
        "constant image",
        "1 image has one intensity only",
        "2 images have one intensity only",
    ),
])
def test_problems_that_may_be(changes, kind, one, two):
    assert problems(GOOD) == []
    (problem,) = problems([*GOOD, facts("bad", **changes)])
    assert problem == {"kind": kind, "fatal": False, "text": one, "files": ["/data/images/bad.png"]}
    (problem,) = problems([*GOOD, facts("bad", **changes), facts("worse", **changes)])
    assert problem["text"] == two and problem["files"] == ["/data/images/bad.png", "/data/images/worse.png"]


def test_what_becomes_of_other_values_depends_on_how_the_classes_are_drawn():
    red = [(255, 0, 0)]
    (problem,) = problems([*GOOD, facts("bad", smeared=0.01)], colors=red)
    assert problem["text"] == (
        "1 mask has colors that are neither black nor one of label_colors, as from soft edges or JPEG; such a pixel "
        "takes the class of the nearest color"
    )
    three = {"pixels": [18000, 1000, 1000], "objects": [[1], [1]], "widths": [20.0, 20.0], "smeared": 0.01}
    assert problems([facts(str(i), **three) for i in range(9)], out_channels=3) == []  # many ids
    (problem,) = problems([facts(str(i), **three) for i in range(9)], out_channels=3, colors=[*red, (0, 255, 0)])
    assert problem["kind"] == "smeared mask"


@pytest.mark.parametrize("pairs, total, text", [
    ([(3, 7, 1.0)], None, "2 images have near-duplicates (1 pair)"),
    ([(3, 7, 1.0), (3, 9, 0.99)], 3, "3 images have near-duplicates (3 pairs)"),
])
def test_near_duplicates(pairs, total, text):
    (problem,) = problems(GOOD, duplicates=NearDuplicates(pairs, total))
    assert problem["text"] == text and problem["files"][:2] == ["/data/images/3.png", "/data/images/7.png"]


def test_there_must_be_something_to_learn():
    empty = [facts(str(i), pixels=[20000, 0], objects=[[]], widths=[None]) for i in range(4)]
    fatal = [problem["text"] for problem in problems(empty) if problem["fatal"]]
    assert fatal == ["none of the 4 masks holds an object; are these the masks, and is 0 the background?"]
    assert not any(problem["fatal"] for problem in problems(empty, training=False))


def test_a_class_that_is_in_no_mask():
    three = [facts(str(i), pixels=[19000, 1000, 0], objects=[[1], []], widths=[20.0, None]) for i in range(9)]
    (problem,) = problems(three, out_channels=3)
    assert problem["text"] == "class 2 is in none of the 9 masks; set --out_channels 2" and not problem["fatal"]
    (problem,) = problems(three, out_channels=3, training=False)
    assert problem["text"] == "class 2 is in none of the 9 masks"
    gap = [facts(str(i), pixels=[19000, 0, 1000], objects=[[], [1]], widths=[None, 20.0]) for i in range(9)]
    (problem,) = problems(gap, out_channels=3)
    assert problem["text"] == "class 1 is in none of the 9 masks"  # and 3 channels are needed


def test_objects_that_fitting_makes_thin():
    vessels = [facts(str(i), size=(960, 999), widths=[width]) for i, width in enumerate((4.0, 5.5, 5.5, 5.5, 7.5))]
    (problem,) = problems(vessels, spatial_size=(512, 512))
    assert problem == {
        "kind": "thin objects",
        "fatal": False,
        "text": "objects of class 1 are 5.5 pixels wide, and 2.8 pixels after fitting to 512 x 512, which is too thin "
        "to learn well; --geometry native keeps their width",
        "files": [f"/data/images/{i}.png" for i in range(4)],
    }
    (problem,) = problems(vessels, spatial_size=(512, 512), training=False)
    assert problem["text"].endswith("; a training with --geometry native keeps their width")
    for size in ((576, 576), None):
        assert problems(vessels, spatial_size=size) == []
    lines = [facts(str(i), size=(200, 200), widths=[1.5]) for i in range(5)]
    assert problems(lines, spatial_size=(256, 256)) == []  # native would not make them wider


@pytest.mark.parametrize("count, text", [
    (1, "1 image to score, so the scores say little; score more images, or cross-validate"),
    (3, "3 images to score, so the scores say little; score more images, or cross-validate"),
    (4, None),
])
def test_few_images_to_score(count, text):
    assert [problem["text"] for problem in problems(GOOD[:count], training=False)] == ([text] if text else [])
    assert problems(GOOD[:count]) == []  # of a training, the folds are checked


def test_a_file_that_cannot_be_used():
    (problem,) = problems([*GOOD, Facts("a.png", problem="a.png is broken; mend it")])
    assert problem == {"kind": "unusable", "fatal": True, "text": "a.png is broken; mend it", "files": ["a.png"]}
