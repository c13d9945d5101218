# SPDX-License-Identifier: Apache-2.0

"""The table of folds whose scores were made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.common.files import write_csv, write_json
from scripts.cross_validation.fold_table import write_fold_table

#: By fold: dice of each image, by its group.
FOLDS = {0: {"p": 0.5, "q": 0.75, "r": 1.0}, 1: {"s": 0.25}}


@pytest.fixture
def evaluations(tmp_path) -> dict[int, Path]:
    folders = {}
    for fold, dice in FOLDS.items():
        folders[fold] = tmp_path / f"fold_{fold}" / "evaluation"
        write_json(folders[fold] / "summary.json", {"protocol": "held-out"})
        rows = [[f"{group}.png", group, "no", 9, 9, value, 1 - value] for group, value in dice.items()]
        columns = ["image", "group", "seen", "label_pixels", "pred_pixels", "dice", "mae"]
        write_csv(folders[fold] / "scores.csv", columns, rows)
    return folders


def test_all_images_count_alike_whatever_the_size_of_their_fold(evaluations, tmp_path):
    text, means = write_fold_table(tmp_path, evaluations)
    assert means == pytest.approx({"dice": 2.5 / 4, "mae": 1.5 / 4})
    table = json.loads((tmp_path / "folds.json").read_text())
    assert [table["folds"][fold]["scores"]["dice"]["mean"] for fold in "01"] == pytest.approx([0.75, 0.25])
    assert table["all"]["scores"]["dice"]["sd_of_folds"] == pytest.approx(0.5 / 2**0.5)
    assert (table["all"]["num_images"], table["all"]["num_groups"], table["protocol"]) == (4, 4, "held-out")
    assert (tmp_path / "folds.md").read_text() == text
    lines = text.splitlines()
    assert lines[0] == (
        "held-out protocol: the epoch was chosen on other images; means over images, with 95 % intervals."
    )
    assert lines[2] == "| fold | images | dice |"  # mae is in the file alone
    assert lines[4].startswith("| 0 | 3 | 0.7500 (0.5000 to 1.0000) |") and lines[6].startswith("| all | 4 | 0.6250 (")
    assert lines[5] == "| 1 | 1 | 0.2500 (one group: no interval) |"


def test_the_table_of_one_fold_alone(evaluations, tmp_path):
    text, means = write_fold_table(tmp_path, {1: evaluations[1]})
    assert "| 1 |" in text and "| 0 |" not in text
    assert means["dice"] == pytest.approx(0.25)
    assert json.loads((tmp_path / "folds.json").read_text())["all"]["scores"]["dice"]["sd_of_folds"] is None
    assert "had a part in training" not in text
    scores = evaluations[0] / "scores.csv"
    scores.write_text(scores.read_text().replace(",no,", ",yes,", 1))
    assert "\n1 of the images had a part in training too" in write_fold_table(tmp_path, evaluations)[0]
