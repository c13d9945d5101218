# SPDX-License-Identifier: Apache-2.0

"""The table of scores: what each is called, in which direction it is better, its unit, and where it is shown.

How a score is computed stands beside its metric in ``evaluation``; all else that is known of it stands here.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

__all__ = [
    "COUNTS",
    "KEY",
    "PAPER",
    "SCORES",
    "VALIDATION",
    "Score",
    "ScoreName",
    "lower_is_better",
    "parse_name",
    "score_named",
    "shown_in",
]

#: What the names begin with of the scores that a training's validation computes.
VALIDATION = "val_"

#: What the names begin with of the scores that are computed as the paper computes them.
PAPER = "paper_"

#: The score by which the best epoch is chosen, cases are ranked, and networks are compared.
KEY = "dice"

#: A place that shows some of the scores: the headline of the report, the table of a cross-validation's folds, the
#: table of a contest, and the validation of a training.
Place = Literal["headline", "folds", "contest", "validation"]


class Score(NamedTuple):
    """All that is known of a score, but how it is computed.

    Attributes:
        name: its name in ``scores.csv`` and ``summary.json``, without a prefix and without the number of a class.
        label: its name for readers.
        unit: "share" (of 1), "distance" (in pixels, or in the unit of ``pixel_size``) or "count" (a whole number). The
            counts of an image's classes are added up; of shares and distances, the mean is taken.
        better: "higher" or "lower"; empty where neither is better.
        meaning: one line that explains it; empty where it is not known.
        places: where it is shown, beside ``scores.csv``, ``summary.json`` and the report's tables, which show all.
        paper: where it is shown as the paper computes it; None if the paper does not compute it.
    """

    name: str
    label: str
    unit: Literal["share", "distance", "count"] = "share"
    better: Literal["higher", "lower", ""] = ""
    meaning: str = ""
    places: tuple[Place, ...] = ()
    paper: tuple[Place, ...] | None = None


#: All scores, in the order of their columns. Those that are computed as the paper does follow after all others.
SCORES: tuple[Score, ...] = (
    Score(
        "dice", "Dice", "share", "higher", "overlap of prediction and label, 2 TP / (2 TP + FP + FN)",
        places=("headline", "folds", "contest", "validation"), paper=("folds", "contest"),
    ),
    Score(
        "iou", "IoU", "share", "higher", "intersection over union, TP / (TP + FP + FN)",
        places=("headline", "folds", "contest", "validation"), paper=("contest",),
    ),
    Score(
        "mae", "MAE", "share", "lower", "mean absolute error, here the share of pixels that are wrong",
        places=("contest", "validation"), paper=("contest",),
    ),
    Score(
        "accuracy", "Accuracy", "share", "higher", "share of pixels that are right; high wherever objects are small",
        places=("validation",), paper=(),
    ),
    Score(
        "sensitivity", "Sensitivity", "share", "higher", "share of the labeled area that was found, TP / (TP + FN)",
        places=("headline", "folds"),
    ),
    Score(
        "precision", "Precision", "share", "higher", "share of the predicted area that is right, TP / (TP + FP)",
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

#: Columns of ``scores.csv`` that are numbers of an image, but no scores.
COUNTS: tuple[Score, ...] = (
    Score("label_pixels", "Label, pixels", "count"),
    Score("pred_pixels", "Prediction, pixels", "count"),
)

_LABELS = {"": "", VALIDATION: "Validation ", PAPER: "Paper's "}


class ScoreName(NamedTuple):
    """The parts of a name such as ``paper_dice_2``.

    Attributes:
        prefix: ``PAPER``, ``VALIDATION``, or empty.
        base: the name in the table, such as ``dice``; of what is not in the table, all that follows the prefix.
        number: of the foreground class, from 1; None for the mean over the classes.
    """

    prefix: str
    base: str
    number: int | None


def parse_name(name: str) -> ScoreName:
    """Split a name into its prefix, the name of the score, and the number of a class.

    Args:
        name: such as ``dice``, ``val_dice``, ``paper_dice`` or, of the second class, ``dice_2``.

    Example::

        >>> parse_name("paper_dice_2")
        ScoreName(prefix='paper_', base='dice', number=2)
        >>> parse_name("object_f1")
        ScoreName(prefix='', base='object_f1', number=None)
    """
    prefix = next((prefix for prefix in (VALIDATION, PAPER) if name.startswith(prefix)), "")
    rest = name[len(prefix) :]
    of_class = re.fullmatch(r"(.+)_([0-9]+)", rest)
    if of_class and _row(rest) is None and _row(of_class[1]) is not None:
        return ScoreName(prefix, of_class[1], int(of_class[2]))
    return ScoreName(prefix, rest, None)


def score_named(name: str) -> Score:
    """How a column of ``scores.csv``, a score of ``summary.json`` or a metric of a training is shown.

    Args:
        name: as of :py:func:`parse_name`.

    Returns:
        The row of the table, with the label of the paper's or the validation's score, or of the class; what is not in
        the table bears its own name.
    """
    prefix, base, number = parse_name(name)
    row = _row(base)
    if row is None:
        return Score(name, name)
    of_class = "" if number is None else f", class {number}"
    return row._replace(label=f"{_LABELS[prefix]}{row.label}{of_class}")


def lower_is_better(name: str) -> bool:
    """Whether less of a score is better.

    Args:
        name: as of :py:func:`parse_name`.

    Raises:
        ValueError: if the table does not say which direction is better.
    """
    better = score_named(name).better
    if not better:
        raise ValueError(f"{name} has no direction in the table of scores; give it one in common/score_table.py")
    return better == "lower"


def shown_in(place: Place) -> tuple[str, ...]:
    """The names of the scores that a place shows, without ``VALIDATION``, in the order of the table.

    Args:
        place: one of those that a :py:class:`Score` can name.

    Returns:
        The scores, and after them those that are computed as the paper does, with ``PAPER`` before their names.
    """
    plain = [row.name for row in SCORES if place in row.places]
    return (*plain, *(f"{PAPER}{row.name}" for row in SCORES if place in (row.paper or ())))


def _row(base: str) -> Score | None:
    return next((row for row in (*SCORES, *COUNTS) if row.name == base), None)
