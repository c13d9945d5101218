# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from scripts.report.wording import number, score_named


@pytest.mark.parametrize(
    "name, label, kind",
    [
        ("dice", "Dice", "share"),
        ("dice_12", "Dice, class 12", "share"),
        ("paper_iou_2", "Paper's IoU, class 2", "share"),
        ("hd95", "HD95", "distance"),
        ("hd95_1", "HD95, class 1", "distance"),
        ("object_f1", "Object F1", "share"),
        ("label_pixels_2", "Label, pixels, class 2", "count"),
        ("own_score_2", "own_score_2", "share"),
    ],
)
def test_scores_are_named_for_readers(name, label, kind):
    score = score_named(name)
    assert (score.label, score.kind) == (label, kind)


def test_lower_is_better_for_errors_and_distances_only():
    better = {name: score_named(name).better for name in ("dice", "nsd", "mae", "hd95", "paper_mae", "pred_pixels")}
    assert better == dict(dice="higher", nsd="higher", mae="lower", hd95="lower", paper_mae="lower", pred_pixels="")


@pytest.mark.parametrize(
    "value, kind, text",
    [
        (0.12345, "share", "0.1235"),
        (1234.567, "distance", "1234.57"),
        (1234567, "count", "1,234,567"),
        (float("nan"), "share", "–"),
        (None, "distance", "–"),
    ],
)
def test_numbers_have_the_digits_of_their_kind(value, kind, text):
    assert number(value, kind) == text
