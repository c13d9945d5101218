# SPDX-License-Identifier: Apache-2.0

"""Scores of an image from its counts of pixels, with MONAI's confusion matrix, and as the paper computes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from statistics import mean
from typing import Any

import numpy as np
import torch
from ignite.exceptions import NotComputableError
from ignite.metrics import Average
from monai.metrics import CumulativeIterationMetric, DiceMetric, MeanIoU, do_metric_reduction, get_confusion_matrix
from monai.utils import look_up_option
from numpy.typing import NDArray

from ..common import score_table
from ..common.score_table import PixelCounts, lower_is_better

__all__ = ["METRICS", "ConfusionScore", "FiniteAverage", "ImageScore", "mean_dice"]

#: A function that builds the metric of a score from the side of a pixel and the tolerance of outlines; both have the
#: same unit.
MetricFactory = Callable[[float, float], CumulativeIterationMetric]


class FiniteAverage(Average):
    """Compute the mean of the finite values. A loss that is not finite belongs to a step that was skipped."""

    def update(self, output: float | torch.Tensor) -> None:
        """Add a value to the mean, if it is finite.

        Args:
            output: one number.
        """
        if math.isfinite(output):
            super().update(output)

    def compute(self) -> float:
        """Return the mean; NaN if no value was finite."""
        try:
            return float(super().compute())
        except NotComputableError:
            return math.nan


class ImageScore(CumulativeIterationMetric):
    """Base class for scores of images and foreground classes, which reports their mean.

    Subclasses compute (B, K - 1) scores from one-hot predictions and labels, both (B, K, H, W). The background is the
    first of the K classes.
    """

    def aggregate(self) -> torch.Tensor:
        """Return the mean over images and foreground classes as a scalar tensor."""
        return do_metric_reduction(self.get_buffer(), "mean")[0]


class ConfusionScore(ImageScore):
    """Score the foreground of every image from its counts of pixels, and report the mean over images and classes.

    The formulas are those of the table of scores. Where a formula divides by 0, the score is the best one if no pixel
    of the image is wrong, else the worst one. So if a class is neither in the label nor in the prediction of an image,
    all scores are 1, except errors, which are 0. If it is in only one of the two, Dice, IoU, sensitivity and precision
    are 0. So neither a miss nor a false alarm raises the mean of these four.

    Args:
        score: name of a score that has a formula in the table of scores, such as "dice".
        paper_protocol: whether TP = 0 is counted as TP = 1, as in the published evaluation; FP, TN and FN do not
            change. This raises the score of a complete miss above zero. Such scores can be compared with those of the
            paper, and with no others.

    Raises:
        ValueError: if the table of scores has no formula, or no direction, of ``score``.
    """

    def __init__(self, score: str, *, paper_protocol: bool = False) -> None:
        super().__init__()
        formulas = {row.name: row.ratio for row in score_table.SCORES if row.ratio is not None}
        self.score = look_up_option(score, tuple(formulas))
        self.ratio = formulas[self.score]
        self.is_error = lower_is_better(self.score)
        self.paper_protocol = paper_protocol

    def _compute_tensor(  # type: ignore[override]
        self, y_pred: torch.Tensor, y: torch.Tensor, **kwargs: Any
    ) -> torch.Tensor:
        """Score a batch of images.

        Args:
            y_pred: (B, K, H, W) one-hot predictions, with the background first.
            y: (B, K, H, W) one-hot labels, with the background first.
            kwargs: further arguments of MONAI, which are not used.

        Returns:
            (B, K - 1) float64 scores in [0, 1].
        """
        counts = get_confusion_matrix(y_pred, y, include_background=False).double()  # (B, K - 1, 4)
        tp, fp, tn, fn = counts.unbind(-1)
        if self.paper_protocol:
            tp = tp.clamp(min=1)
        numerator, denominator = self.ratio(PixelCounts(tp, fp, tn, fn, pixels=counts.sum(-1)))
        is_right = fp + fn == 0
        undefined = ~is_right if self.is_error else is_right
        return torch.where(denominator == 0, undefined.double(), numerator / denominator)


def mean_dice(pred: NDArray[np.uint8], label: NDArray[np.uint8], classes: Iterable[int]) -> float:
    """Return the mean Dice of two masks over classes. A class that is in neither mask has a Dice of 1.

    Args:
        pred: predicted label ids, uint8, of any shape.
        label: true label ids, uint8, of the same shape.
        classes: label ids of the classes, at least one.
    """

    def dice(predicted: NDArray[np.bool_], labeled: NDArray[np.bool_]) -> float:
        total = int(predicted.sum() + labeled.sum())
        return 2 * int((predicted & labeled).sum()) / total if total else 1.0

    return mean(dice(pred == number, label == number) for number in classes)


#: The functions that build the metrics of pixels that MONAI computes, by the names of their scores in the table of
#: scores. :py:class:`ConfusionScore` computes all others.
METRICS: dict[str, MetricFactory] = {
    "dice": lambda spacing, tolerance: DiceMetric(include_background=False, ignore_empty=False),
    "iou": lambda spacing, tolerance: MeanIoU(include_background=False, ignore_empty=False),
}
