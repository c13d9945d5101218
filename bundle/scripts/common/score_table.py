# SPDX-License-Identifier: Apache-2.0

"""The table of scores: the name of each score, whether higher or lower is better, its unit, and where it is shown.

A score of pixels also has its formula here. The room ``evaluation`` computes the scores.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

__all__ = [
    "COUNTS",
    "KEY",
    "PAPER",
    "SCORES",
    "VALIDATION",
    "PixelCounts",
    "Score",
    "ScoreName",
    "lower_is_better",
    "parse_name",
    "score_named",
    "shown_in",
]

#: Prefix in the names of the scores that the validation of a training computes.
VALIDATION = "val_"

#: Prefix in the names of the scores that are computed as in the paper.
PAPER = "paper_"

#: The score that chooses the best epoch, ranks the cases and compares networks.
KEY = "dice"

#: A place that shows some of the scores: the headline of the report, the table of a cross-validation's folds, the
#: table of a contest, and the validation of a training. A contest refuses saved results that lack one of its scores, so
#: with another score there, results of earlier versions must be computed anew.
Place = Literal["headline", "folds", "contest", "validation"]


class PixelCounts(NamedTuple):
    """The counts of pixels of one class in one image, from which a formula computes a score.

    The counts are numbers, or arrays or tensors of one shape, which hold the counts of many images and classes.

    Attributes:
        tp: pixels of the class in both label and prediction; as in the paper, at least 1.
        fp: pixels of the class in the prediction only.
        tn: pixels of the class in neither label nor prediction.
        fn: pixels of the class in the label only.
        pixels: all pixels of the image. As in the paper, the other four may add up to one more.
    """

    tp: Any
    fp: Any
    tn: Any
    fn: Any
    pixels: Any


class Score(NamedTuple):
    """A row of the table: all facts about a score.

    Attributes:
        name: name in ``scores.csv`` and ``summary.json``, without a prefix and without the number of a class.
        label: name of the score for readers.
        unit: "share" (of 1), "distance" (in pixels, or in the unit of ``pixel_size``) or "count" (a whole number). The
            score of an image is the sum over its classes for counts, and the mean over its classes for shares and
            distances.
        better: "higher" or "lower", or empty where neither is better.
        meaning: one line that explains the score, or empty where the meaning is not known.
        places: where the score is shown. ``scores.csv``, ``summary.json`` and the report's tables show all scores.
        paper: where the score is shown as the paper computes it, or None if the paper does not compute it.
        ratio: formula of a score of pixels, which returns its numerator and its denominator. Where the denominator is
            0, the score is the best one (1, or 0 where lower is better) if no pixel of the image is wrong, else the
            worst one. None if a metric of the room ``evaluation`` alone says how the score is computed.
    """

    name: str
    label: str
    unit: Literal["share", "distance", "count"] = "share"
    better: Literal["higher", "lower", ""] = ""
    meaning: str = ""
    places: tuple[Place, ...] = ()
    paper: tuple[Place, ...] | None = None
    ratio: Callable[[PixelCounts], tuple[Any, Any]] | None = None


#: All scores, in the order of their columns. The scores that are computed as in the paper follow after all others.
SCORES: tuple[Score, ...] = (
    Score(
        "dice", "Dice", "share", "higher", "overlap of prediction and label, 2 TP / (2 TP + FP + FN)",
        ratio=lambda n: (2 * n.tp, 2 * n.tp + n.fp + n.fn),
        places=("headline", "folds", "contest", "validation"), paper=("folds", "contest"),
    ),
    Score(
        "iou", "IoU", "share", "higher", "intersection over union, TP / (TP + FP + FN)",
        ratio=lambda n: (n.tp, n.tp + n.fp + n.fn),
        places=("headline", "folds", "contest", "validation"), paper=("contest",),
    ),
    Score(
        "mae", "MAE", "share", "lower", "mean absolute error, here the share of pixels that are wrong",
        ratio=lambda n: (n.fp + n.fn, n.pixels),
        places=("contest", "validation"), paper=("contest",),
    ),
    Score(
        "accuracy", "Accuracy", "share", "higher", "share of pixels that are right; high wherever objects are small",
        ratio=lambda n: (n.tp + n.tn, n.tp + n.fp + n.tn + n.fn),
        places=("validation",), paper=(),
    ),
    Score(
        "sensitivity", "Sensitivity", "share", "higher", "share of the labeled area that was found, TP / (TP + FN)",
        ratio=lambda n: (n.tp, n.tp + n.fn),
        places=("headline", "folds"),
    ),
    Score(
        "precision", "Precision", "share", "higher", "share of the predicted area that is right, TP / (TP + FP)",
        ratio=lambda n: (n.tp, n.tp + n.fp),
        places=("headline", "folds"),
    ),
    Score(
        "hd95", "HD95", "distance", "lower", "95th percentile of the distances between both outlines",
        places=("headline", "folds", "contest"),
    ),
    Score("asd", "ASD", "distance", "lower", "mean distance between both outlines"),
    Score(
        "nsd", "NSD", "share", "higher", "normalized surface Dice: share of both outlines within the tolerance",
        places=("headline", "folds"),
    ),
    Score("object_f1", "Object F1", "share", "higher", "F1 of the objects found, at an IoU of more than 0.5"),
)  # fmt: skip

#: Columns of ``scores.csv`` that hold numbers of an image which are no scores.
COUNTS: tuple[Score, ...] = (
    Score("label_pixels", "Label, pixels", "count"),
    Score("pred_pixels", "Prediction, pixels", "count"),
)

_LABELS = {"": "", VALIDATION: "Validation ", PAPER: "Paper's "}


class ScoreName(NamedTuple):
    """The parts of a name such as ``paper_dice_2``.

    Attributes:
        prefix: ``PAPER``, ``VALIDATION``, or empty.
        base: name in the table, such as ``dice``. For a name that is not in the table, all that follows the prefix.
        number: number of the foreground class, from 1, or None for the mean over the classes.
    """

    prefix: str
    base: str
    number: int | None


def parse_name(name: str) -> ScoreName:
    """Split a name into its prefix, the name of the score, and the number of a class.

    Args:
        name: name such as ``dice``, ``val_dice`` or ``paper_dice``, or ``dice_2`` for the second foreground class.

    Example::

        >>> parse_name("paper_dice_2")
        ScoreName(prefix='paper_', base='dice', number=2)
        >>> parse_name("object_f1")
        ScoreName(prefix='', base='object_f1', number=None)
    """
    prefix = next((prefix for prefix in (VALIDATION, PAPER) if name.startswith(prefix)), "")
    rest = name[len(prefix) :]
    match = re.fullmatch(r"(.+)_([0-9]+)", rest)
    if match and _row(rest) is None and _row(match[1]) is not None:
        return ScoreName(prefix, match[1], int(match[2]))
    return ScoreName(prefix, rest, None)


def score_named(name: str) -> Score:
    """Return how a column of ``scores.csv``, a score of ``summary.json`` or a metric of a training is shown.

    Args:
        name: name as :py:func:`parse_name` takes it.

    Returns:
        The row of the table. Its label also names the paper or the validation, and the class, where ``name`` does. For
        a name that is not in the table, a row whose name and label are this name.
    """
    prefix, base, number = parse_name(name)
    row = _row(base)
    if row is None:
        return Score(name, name)
    of_class = "" if number is None else f", class {number}"
    return row._replace(label=f"{_LABELS[prefix]}{row.label}{of_class}")


def lower_is_better(name: str) -> bool:
    """Return whether a lower value of a score is better.

    Args:
        name: name as :py:func:`parse_name` takes it.

    Raises:
        ValueError: if the table does not say which direction is better.
    """
    better = score_named(name).better
    if not better:
        raise ValueError(f"{name} has no direction in the table of scores; give it one in common/score_table.py")
    return better == "lower"


def shown_in(place: Place) -> tuple[str, ...]:
    """Return the names of the scores that a place shows, in the order of the table.

    Args:
        place: a place of :py:data:`Place`.

    Returns:
        Names without the prefix ``VALIDATION``. After them follow the names of the scores that are computed as in the
        paper, with the prefix ``PAPER``.
    """
    plain = [row.name for row in SCORES if place in row.places]
    return (*plain, *(f"{PAPER}{row.name}" for row in SCORES if place in (row.paper or ())))


def _row(base: str) -> Score | None:
    return next((row for row in (*SCORES, *COUNTS) if row.name == base), None)
