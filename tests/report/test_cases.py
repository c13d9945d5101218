# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import pytest

from evaluations import evaluate
from scripts.report.cases import Case, choose, short_names
from scripts.report.page import write_report


def case(name: str, dice: float = 0.5) -> Case:
    return Case(name, name, {"dice": dice})


@pytest.mark.parametrize(
    "count, expected",
    [
        (0, {}),
        (1, {"Worst": [0]}),
        (6, {"Worst": [0, 1, 2, 3, 4, 5]}),
        (8, {"Worst": [0, 1, 2, 3, 4, 5], "Best": [7, 6]}),
        (10, {"Worst": [0, 1, 2, 3, 4, 5], "Median": [6], "Best": [9, 8, 7]}),
        (101, {"Worst": [0, 1, 2, 3, 4, 5], "Median": [49, 50, 51], "Best": [100, 99, 98]}),
    ],
)
def test_cases_are_chosen_by_rank_and_none_twice(count, expected):
    cases = [case(str(rank), rank / 1000) for rank in range(count)]
    chosen = choose([*cases[::-1], case("without", math.nan)])
    assert {kind: [int(each.image) for each in of_kind] for kind, of_kind in chosen.items()} == expected


@pytest.mark.parametrize(
    "paths, expected",
    [
        (["/data/images/a.png", "/data/images/b.png"], ["a.png", "b.png"]),
        (["/data/1/images/a.png", "/data/2/images/a.png"], ["1/images/a.png", "2/images/a.png"]),
        (["a.png", "more/b.png"], ["a.png", "more/b.png"]),
        (["/data/a.png", "more/b.png"], ["/data/a.png", "more/b.png"]),
        (["/a/b.png"], ["b.png"]),
    ],
)
def test_names_are_what_follows_the_shared_folder(paths, expected):
    assert list(short_names([case(path) for path in paths]).items()) == list(zip(paths, expected))


def test_a_table_without_a_number_for_dice_still_makes_a_page(tmp_path):
    folder = evaluate(tmp_path, ["a.png"])
    (folder / "scores.csv").write_text("image,group,dice,iou\na.png,a,nan,\n")
    (tmp_path / "curves.csv").write_text("epoch,val_mae\n1,0.5\n")
    text = write_report(folder, curves=tmp_path / "curves.csv").read_text()
    assert "No histogram: no image has a Dice." in text
    assert "curves.csv has neither a training loss nor a validation Dice" in text
    assert "<img" not in text and '["a.png", "a", null, null]' in text
