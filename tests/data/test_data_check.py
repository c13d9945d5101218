# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from scripts.common.errors import InputError
from scripts.data.data_check import check_data, report_check
from scripts.data.splits.leaks import find_leaks
from scripts.data.splits.split import Fold, Split
from scripts.data.survey import Facts
from workflows import run


def facts(name: str, **changes: Any) -> Facts:
    seen: dict[str, Any] = {
        "size": (100, 200),
        "low": 0,
        "high": 255,
        "mean": 80,
        "spread": 20,
        "pixels": [19000, 1000],
        "objects": [[2, 0, 1, 0, 0, 0, 0, 0, 0, 1]],
    }
    return Facts(f"/data/images/{name}.png", **{**seen, **changes})


GOOD = [facts(str(i)) for i in range(40)]


def check(found: list[Facts], folder: Path, **options: Any) -> dict[str, Any]:
    settings = {"pairs": [], "spatial_size": (64, 64), "out_channels": 2, "report_path": folder / "made" / "check.json"}
    return check_data(found, **{**settings, **options})


def test_good_images_have_no_problems(tmp_path):
    report = check(GOOD, tmp_path)
    assert report["problems"] == [] and report["num_images"] == 40
    assert report["sizes"]["height"] == {"min": 100, "lower": 100, "median": 100, "upper": 100, "max": 100}
    assert report["intensities"]["mean"]["median"] == 80
    assert json.loads((tmp_path / "made" / "check.json").read_text()) == report


@pytest.mark.parametrize("changes, kind, text", [
    ({"pixels": [20000, 0], "objects": [[]]}, "empty mask", "1 mask(s) are empty"),
    ({"pixels": [1000, 19000]}, "full mask", "1 mask(s) cover nearly all of the image; inverted?"),
    (
        {"smeared": 0.01},
        "smeared mask",
        "1 mask(s) have values between background and object, as from gray edges or JPEG; they are cut at half of full "
        "scale",
    ),
    (
        {"contrast": 0.2},
        "lost contrast",
        "1 image(s) have a few pixels that stretch their range of intensities, such as hot pixels, a scale bar or "
        "small bright objects, and so leave all else little contrast; if these are no objects, set --intensities "
        "percentiles for a training, or remove them from the images",
    ),
    ({"low": 7, "high": 7}, "constant image", "1 image(s) have one intensity only"),
])
def test_problems_that_may_be(changes, kind, text, tmp_path):
    (problem,) = check([*GOOD, facts("bad", **changes)], tmp_path)["problems"]
    assert problem == {"kind": kind, "fatal": False, "text": text, "files": ["/data/images/bad.png"]}


def test_near_duplicates_are_listed(tmp_path):
    report = check(GOOD, tmp_path, pairs=[(3, 7, 1.0), (3, 9, 0.99)])
    assert report["problems"][0]["text"] == "3 images have near-duplicates (2 pairs)"
    assert report["near_duplicates"][1] == ["/data/images/3.png", "/data/images/9.png", 0.99]


def test_files_that_cannot_be_used_stop_it_and_all_are_listed(tmp_path):
    bad = [Facts(f"{name}.png", problem=f"{name}.png is broken; mend it") for name in "ab"]
    with pytest.raises(InputError, match=r"^a.png is broken; mend it \(1 more file\(s\) cannot be used; .*check.json"):
        check([*GOOD, *bad], tmp_path)
    problems = json.loads((tmp_path / "made" / "check.json").read_text())["problems"]
    assert [(problem["fatal"], problem["files"]) for problem in problems] == [(True, ["a.png"]), (True, ["b.png"])]
    with pytest.raises(InputError, match="^a.png is broken; mend it$"):
        check([*GOOD, bad[0]], tmp_path)
    with pytest.raises(InputError, match="^a.png is broken; mend it$"):
        check(bad[:1], tmp_path)


def test_there_must_be_something_to_learn(tmp_path):
    empty = [facts(str(i), pixels=[20000, 0], objects=[[]]) for i in range(3)]
    with pytest.raises(InputError, match="none of the 3 masks holds an object; are these the masks, and is 0 the"):
        check(empty, tmp_path)
    assert check(empty, tmp_path, training=False)["classes"][0]["images"] == 0


def test_a_class_that_is_in_no_mask(tmp_path):
    three = [facts(str(i), pixels=[19000, 1000, 0], objects=[[1], []]) for i in range(9)]
    (problem,) = check(three, tmp_path, out_channels=3)["problems"]
    assert problem["text"] == "class 2 is in none of the 9 masks; set --out_channels 2" and not problem["fatal"]
    (problem,) = check(three, tmp_path, out_channels=3, training=False)["problems"]
    assert problem["text"] == "class 2 is in none of the 9 masks"
    gap = [facts(str(i), pixels=[19000, 0, 1000], objects=[[], [1]]) for i in range(9)]
    (problem,) = check(gap, tmp_path, out_channels=3)["problems"]
    assert problem["text"] == "class 1 is in none of the 9 masks"  # and 3 channels are needed


def test_objects_that_would_vanish(tmp_path):
    # objects of 1, 1, 4 to 7 and 512 to 1023 pixels
    def vanishing(side: int) -> int:
        (found,) = check([facts("a")], tmp_path, spatial_size=(side, side))["classes"]
        assert found["objects"] == 4 and found["share"] == 0.05
        return found["vanishing"]

    assert [vanishing(side) for side in (400, 200, 100, 64, 32, 4)] == [0, 0, 2, 3, 3, 4]


@pytest.mark.parametrize("size, count, suggestion", [
    ((100, 200), 40, {"spatial_size": [128, 224], "batch_size": 4, "out_channels": 2}),
    ((1944, 2592), 1000, {"spatial_size": [384, 512], "batch_size": 32, "out_channels": 2}),
    ((256, 256), 9, {"spatial_size": [256, 256], "batch_size": 2, "out_channels": 2}),
    ((60, 50), 100, {"spatial_size": [128, 128], "batch_size": 8, "out_channels": 2}),
])
def test_suggestions(size, count, suggestion, tmp_path):
    found = [facts(str(i), size=size) for i in range(count)]
    assert check(found, tmp_path)["suggestions"] == suggestion
    native = check(found, tmp_path, spatial_size=None)["suggestions"]
    assert native == {name: value for name, value in suggestion.items() if name != "spatial_size"}


@pytest.mark.parametrize("objects, size, fitted, small", [
    ([[0] * 8 + [20]], (256, 256), True, True),  # 20 of 256 to 511 pixels
    ([[0] * 8 + [20]], (60, 60), True, False),  # enlarged to 128 x 128
    ([[0] * 12 + [1]], (256, 256), True, False),  # 4096 to 8191 pixels
    ([[0] * 12 + [1]], (2048, 2048), True, True),  # shrunk to 512 x 512
    ([[0] * 12 + [1]], (2048, 2048), False, False),  # native
    ([[500] + [0] * 11 + [1]], (256, 256), True, False),  # and specks beside it
    ([[0] * 12 + [1], [0] * 4 + [300]], (256, 256), True, True),  # and more of another class, in small pieces
])
def test_detail_is_worth_a_comparison_where_objects_are_small(objects, size, fitted, small, tmp_path, caplog):
    classes = len(objects) + 1
    small_or_not = {"pixels": [9] * classes, "objects": objects}
    huge = {"pixels": [9] * classes, "objects": [[0] * 30 + [1]] * len(objects)}
    empty = {"pixels": [9] + [0] * len(objects), "objects": [[]] * len(objects)}
    found = [facts("a", size=size, **each) for each in (*[small_or_not] * 3, *[huge] * 2, *[empty] * 2)]
    settings = {"out_channels": classes, "spatial_size": (512, 512) if fitted else None}
    report = check(found, tmp_path, for_small=False, **settings)
    assert report["worth_comparing"] == ({"norm": "group", "detail": True, "refine": True} if small else {})
    with caplog.at_level(logging.INFO, logger="qtseg"):
        report_check(report, [], tmp_path / "check.json")
    assert ("objects are small: --norm group --detail true --refine true may do better" in caplog.text) == small
    for others in ({"for_small": True}, {"for_small": False, "training": False}):
        assert check(found, tmp_path, **settings, **others)["worth_comparing"] == {}


def test_the_report_is_told(tmp_path, caplog):
    report = check([*GOOD, facts("bad", low=7, high=7)], tmp_path)
    with caplog.at_level(logging.INFO, logger="qtseg"):
        leaks = find_leaks([(0, 1, 0.99)], Split([Fold([0], [1], [1])], ["a", "b"], ["images/a.png", "images/b.png"]))
        report_check(report, leaks, tmp_path / "check.json")
    for text in (
        "41 images of 200 x 100 to 200 x 100 pixels",
        "class 1 is in 41 masks, 5.0% of all pixels, 164 objects, 123 below a pixel",
        "1 image(s) have one intensity only: bad.png",
        "fold 0 parts 1 group(s) of images that belong together (near-duplicates, or one group by the knob); what is "
        "judged on them looks too good, such as a.png (train) and b.png (test)",
        "would suit this data: --spatial_size '[128, 224]' --batch_size 4 --out_channels 2; full report: ",
    ):
        assert text in caplog.text
    assert json.loads((tmp_path / "check.json").read_text())["leaks"][0]["num_groups"] == 1


def test_no_other_settings_are_advised_where_a_model_is_scored(tmp_path, caplog):
    for training in (True, False):
        caplog.clear()
        report = check([facts("a"), facts("b")], tmp_path, training=training)
        with caplog.at_level("INFO", logger="qtseg"):
            report_check(report, [], tmp_path / "data_check.json")
        assert bool(report["suggestions"]) == ("would suit this data" in caplog.text) == training


def test_data_is_checked_without_training(blobs, tmp_path, capsys):
    run("train", "check", run_id="checking", dataset_dir=str(blobs), output_dir=str(tmp_path))
    (report,) = tmp_path.glob("check_*/data_check.json")
    assert json.loads(report.read_text())["num_images"] == 11
    assert "would suit this data: --spatial_size" in capsys.readouterr().out
    assert not (tmp_path / "mlruns.db").exists()
