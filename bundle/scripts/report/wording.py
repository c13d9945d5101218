# SPDX-License-Identifier: Apache-2.0

"""What scores are called and mean, and how numbers are written."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

__all__ = ["DASH", "Score", "number", "score_named"]

DASH = "–"


class Score(NamedTuple):
    """How a score is shown.

    Attributes:
        label: its name for readers.
        kind: "share" (4 digits), "distance" (2 digits) or "count" (whole).
        better: "higher" or "lower"; empty for counts and scores that are not known here.
        meaning: one line; empty where it is not known.
    """

    label: str
    kind: str = "share"
    better: str = ""
    meaning: str = ""


_SCORES = {
    "dice": Score("Dice", "share", "higher", "overlap of prediction and label, 2 TP / (2 TP + FP + FN)"),
    "iou": Score("IoU", "share", "higher", "intersection over union, TP / (TP + FP + FN)"),
    "sensitivity": Score("Sensitivity", "share", "higher", "share of the labeled area that was found, TP / (TP + FN)"),
    "precision": Score("Precision", "share", "higher", "share of the predicted area that is right, TP / (TP + FP)"),
    "accuracy": Score("Accuracy", "share", "higher", "share of pixels that are right; high wherever objects are small"),
    "mae": Score("MAE", "share", "lower", "mean absolute error, here the share of pixels that are wrong"),
    "hd95": Score("HD95", "distance", "lower", "95th percentile of the distances between both outlines"),
    "asd": Score("ASD", "distance", "lower", "mean distance between both outlines"),
    "nsd": Score("NSD", "share", "higher", "normalized surface Dice: share of both outlines within the tolerance"),
    "object_f1": Score("Object F1", "share", "higher", "F1 of the objects found, at an IoU of more than 0.5"),
    "label_pixels": Score("Label, pixels", "count"),
    "pred_pixels": Score("Prediction, pixels", "count"),
}


def score_named(name: str) -> Score:
    """How a column of ``scores.csv`` or a score of ``summary.json`` is shown.

    Args:
        name: such as ``dice``, ``paper_dice`` or, of the second class, ``dice_2``.

    Returns:
        The score; one that is not known here bears its own name.
    """
    match = re.fullmatch(r"(?P<paper>paper_)?(?P<base>.+?)(?:_(?P<number>[0-9]+))?", name)
    if match is None or match["base"] not in _SCORES:
        return Score(name)
    score = _SCORES[match["base"]]
    paper = "Paper's " if match["paper"] else ""
    of_class = f", class {match['number']}" if match["number"] else ""
    return score._replace(label=f"{paper}{score.label}{of_class}")


def number(value: float | None, kind: str = "share") -> str:
    """A number as text: 4 digits for shares, 2 for distances, none for counts; a dash for none or NaN.

    Args:
        value: the number.
        kind: as of :py:class:`Score`.
    """
    if value is None or math.isnan(value):
        return DASH
    return {"share": f"{value:.4f}", "distance": f"{value:.2f}", "count": f"{value:,.0f}"}[kind]
