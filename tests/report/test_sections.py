# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import math

import pytest

from evaluations import Page, evaluate
from scripts.common.errors import InputError
from scripts.report.cases import Case
from scripts.report.page import write_report
from scripts.report.sections import (
    calibration,
    case_table,
    data_check,
    facts,
    headline,
    histogram,
    score_tables,
    training,
)


def interval(mean: float, low: float | None = None, high: float | None = None) -> dict[str, float | None]:
    return {"mean": mean, "low": low, "high": high}


SCORES = {"hd95": interval(3.14159), "dice": {**interval(0.9, 0.85, 0.95), "classes": [interval(0.8, 0.7, 0.9)]}}
SUMMARY = {
    "protocol": "held-out",
    "images": "/data",
    "spatial_size": [32, 64],
    "num_images": 3,
    "num_groups": 2,
    "classes": [],
    "protocols": [
        {"protocol": "ours", "scores": SCORES},
        {"protocol": "the paper's", "scores": {"paper_iou": interval(0.5)}},
    ],
}


def test_the_headline_has_the_scores_of_the_first_protocol_in_the_order_of_the_table():
    head = headline(SUMMARY)
    assert head["protocol"] == "ours"
    assert [(each["score"].label, each["mean"], each["interval"]) for each in head["scores"]] == [
        ("Dice", "0.9000", "0.8500 to 0.9500"),
        ("HD95", "3.14", "–"),
    ]


def test_tables_have_all_protocols_scores_and_classes():
    ours, papers = score_tables(SUMMARY)
    assert [(row["score"].label, [cell["mean"] for cell in row["cells"]]) for row in ours["rows"]] == [
        ("HD95", ["3.14"]),
        ("Dice", ["0.9000", "0.8000"]),
    ]
    assert ours["rows"][1]["cells"][1]["interval"] == "0.7000 to 0.9000"
    assert papers["protocol"] == "the paper's" and [row["score"].label for row in papers["rows"]] == ["Paper's IoU"]


def test_facts_are_what_is_neither_a_score_nor_a_count():
    assert facts(SUMMARY) == {"protocol": "held-out", "images": "/data", "spatial size": "[32, 64]"}


def test_curves_leave_out_what_was_not_measured_and_what_is_not_finite(tmp_path):
    curves = tmp_path / "curves.csv"
    curves.write_text("epoch,train_loss,val_dice\n1,0.75,\n2,nan,0.5\n3,inf,\n4,0.25,\n")
    section = training(curves, "train_1")  # lines without a run's name are of any
    loss, dice = section["charts"]
    assert section["path"] == str(curves) and (loss["label"], dice["label"]) == ("Training loss", "Validation Dice")
    assert "Training loss: 0.7500 in epoch 1, 0.2500 in epoch 4." in loss["svg"]
    assert "0.5000 in epoch 2" in dice["svg"]


@pytest.mark.parametrize("text", ["epoch,val_dice\n1,high\n", "epoch,val_dice\none,0.5\n", "val_dice\n0.5\n"])
def test_curves_that_are_no_numbers_are_refused(text, tmp_path):
    (tmp_path / "curves.csv").write_text(text)
    with pytest.raises(InputError, match="curves.csv is no table of training curves"):
        training(tmp_path / "curves.csv", None)


def test_a_histogram_is_of_the_images_that_have_a_dice():
    cases = [Case(str(dice), "", {"dice": dice}) for dice in (0.5, math.nan, 0.5)]
    assert histogram(cases) == histogram([cases[0], cases[2]]) != histogram(cases[:2])
    assert list(histogram(cases[1:2])) == ["missing"]


def test_bins_of_a_calibration_are_told_as_numbers(tmp_path):
    bins = [
        {"low": 0.0, "high": 0.5, "count": 1234, "mean_probability": 0.125, "frequency": 0.25},
        {"low": 0.5, "high": 1.0, "count": 0, "mean_probability": None, "frequency": None},
    ]
    errors = {"expected_calibration_error": 0.125, "expected_calibration_error_above_first_bin": None}
    (tmp_path / "calibration.json").write_text(json.dumps({"bins": bins, **errors}))
    section = calibration(tmp_path / "calibration.json")
    assert section["rows"] == [
        {"range": "0.000 to 0.500", "count": "1,234", "mean": "0.1250", "frequency": "0.2500"},
        {"range": "0.500 to 1.000", "count": "0", "mean": "–", "frequency": "–"},
    ]
    assert (section["error"], section["error_above"], section["count"]) == ("0.1250", "–", "1,234")


def test_of_many_files_of_a_problem_the_first_twenty_are_listed(tmp_path):
    files = [f"/data/{i}.png" for i in range(21)]
    problems = [{"kind": "a", "text": "a", "files": files[:20]}, {"kind": "b", "text": "b", "files": files}]
    spread = dict(min=1, lower=2.25, median=3, upper=100.04, max=1e6)
    report = {"num_images": 21, "problems": problems, "num_near_duplicates": 2, "sizes": {"height": spread}}
    (tmp_path / "data_check.json").write_text(json.dumps(report))
    section = data_check(tmp_path / "data_check.json", {"/data/0.png": "0.png"})
    assert [(len(each["files"]), each["more"]) for each in section["problems"]] == [(20, 0), (20, 1)]
    assert section["problems"][0]["files"][:2] == ["0.png", "/data/1.png"]
    assert section["spreads"] == {"Height, pixels": ["1", "2.2", "3", "100", "1e+06"]}
    assert (section["images"], section["near_duplicates"], section["leaks"], section["classes"]) == (21, 2, [], [])


def test_the_table_of_cases_is_sorted_by_dice_wherever_it_stands():
    cases = [Case("/a.png", "p1", {"hd95": 2.5, "dice": math.nan}), Case("/b.png", "p2", {"hd95": 1, "dice": 1})]
    table = case_table(cases, {"/a.png": "a.png", "/b.png": "b.png"})
    assert table["rows"] == [["a.png", "p1", 2.5, None], ["b.png", "p2", 1, 1]]
    assert table["columns"][table["sorted"]] == {"label": "Dice", "kind": "share"}
    assert [each["kind"] for each in table["columns"]] == ["text", "text", "distance", "share"]


def test_curves_of_another_training_are_not_drawn(tmp_path):
    curves = tmp_path / "curves.csv"
    told = f"No training curves: {curves} is of train_2, but the model is of train_1."
    for run, is_told in (("train_1", False), ("train_2", True)):
        curves.write_text(f"run,epoch,train_loss\n{run},1,0.5\n{run},2,0.25\n")
        text = Page(evaluate(tmp_path / run, ["a.png"], curves=curves) / "report.html").text()
        assert (told in text) == is_told and ("Training loss: 0.5000" in text) != is_told


def test_what_is_not_there_is_said(tmp_path):
    folder = evaluate(tmp_path, ["a.png"], curves=tmp_path / "none.csv")
    text = Page(folder / "report.html").text()
    assert f"No training curves: {tmp_path / 'none.csv'} is not there" in text
    for name in ("calibration.json", "data_check.json", "provenance.json"):
        assert f"{name} is not there" not in text
        (folder / name).unlink()
    text = Page(write_report(folder)).text()
    assert "no curves.csv was named for this report" in text
    for name in ("calibration.json", "data_check.json", "provenance.json"):
        assert f"{name} is not there" in text


def test_copies_of_training_images_change_what_the_scores_mean(tmp_path):
    folder = evaluate(tmp_path, ["a.png", "b.png"])
    summary = json.loads((folder / "summary.json").read_text())
    for seen, meaning in ((0, "No scored image was trained on"), (1, "1 of the scored images had a part in the")):
        (folder / "summary.json").write_text(json.dumps({**summary, "seen_in_training": seen}))
        assert meaning in Page(write_report(folder)).text()
    (folder / "summary.json").write_text(json.dumps({**summary, "start_is_known": False}))
    assert "But the model started from weights whose images are not on record" in Page(write_report(folder)).text()
    (folder / "summary.json").write_text(json.dumps({**summary, "protocol": "held-out protocol: ..."}))
    with pytest.raises(InputError, match="names no protocol, but 'held-out protocol: ...'; evaluate again"):
        write_report(folder)


def test_the_data_check_names_problems_files_and_leaks(tmp_path):
    folder = evaluate(tmp_path, [f"{i}.png" for i in range(4)])
    report = json.loads((folder / "data_check.json").read_text())
    first = str(tmp_path / "images" / "0.png")
    files = [first, *(f"/elsewhere/{i}<.png" for i in range(24))]
    text = "25 mask(s) have gray edges"
    report["problems"] = [{"kind": "smeared mask", "fatal": False, "text": text, "files": files}]
    report["leaks"] = [{"fold": 3, "num_groups": 2, "groups": [{"train": "a.png", "test": "images/b.png"}]}]
    (folder / "data_check.json").write_text(json.dumps(report))
    text = Page(write_report(folder)).text()
    assert "smeared mask : 25 mask(s) have gray edges 25 entries 0.png /elsewhere/0<.png" in text
    assert "and 5 more" in text and "Fold 3 parts 2 groups of images that belong together" in text
    assert "a.png (train) and images/b.png (test)" in text
    assert "Height, pixels 32 32 32 32 32" in text and "Width, pixels 48" in text


def test_a_table_without_a_number_for_dice_still_makes_a_page(tmp_path):
    folder = evaluate(tmp_path, ["a.png"])
    (folder / "scores.csv").write_text("image,group,dice,iou\na.png,a,nan,\n")
    (tmp_path / "curves.csv").write_text("epoch,val_mae\n1,0.5\n")
    text = write_report(folder, curves=tmp_path / "curves.csv").read_text()
    assert "No histogram: no image has a Dice." in text
    assert "curves.csv has neither a training loss nor a validation Dice" in text
    assert "<img" not in text and '["a.png", "a", null, null]' in text
