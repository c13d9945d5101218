# SPDX-License-Identifier: Apache-2.0

"""Scores of each image by counts of its pixels, by MONAI's confusion matrix, and the paper's own protocol."""

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

__all__ = ["METRICS", "ConfusionScore", "FiniteAverage", "ImageScore", "mean_dice"]

#: Makes the metric of a score from the side of a pixel and the tolerance of outlines, in the same unit.
MetricFactory = Callable[[float, float], CumulativeIterationMetric]


class FiniteAverage(Average):
    """The mean of what is finite: a loss that is not belongs to a step that was skipped."""

    def update(self, output: float | torch.Tensor) -> None:
        """
        Args:
            output: one number.
        """
        if math.isfinite(output):
            super().update(output)

    def compute(self) -> float:
        """The mean; NaN if nothing was finite."""
        try:
            return float(super().compute())
        except NotComputableError:
            return math.nan


class ImageScore(CumulativeIterationMetric):
    """A score of each image and foreground class, of which the mean is reported.

    Subclasses compute (B, K - 1) scores from one-hot predictions and labels (B, K, H, W), the background first.
    """

    def aggregate(self) -> torch.Tensor:
        """The mean over images and foreground classes, a scalar tensor."""
        return do_metric_reduction(self.get_buffer(), "mean")[0]


class ConfusionScore(ImageScore):
    """A score of each image's foreground from its counts of pixels; the mean over images and foreground classes.

    With TP, FP, TN, FN the pixels of one class in one image:

    - "dice": 2 TP / (2 TP + FP + FN)
    - "iou": TP / (TP + FP + FN)
    - "accuracy": (TP + TN) / all pixels
    - "mae": mean absolute error of the class's binary mask, (FP + FN) / all pixels
    - "sensitivity": TP / (TP + FN)
    - "precision": TP / (TP + FP)

    Where an image neither holds nor is given a class, all but the error are 1. Where it holds the class or is given it,
    but not both, Dice, IoU, sensitivity and precision are 0: neither a miss nor a false alarm lifts a mean.

    Args:
        score: one of the names above.
        paper_protocol: count TP = 0 as TP = 1, as the published evaluation does (FP, TN and FN unchanged). It lifts the
            score of a complete miss above zero, so figures under it compare with the paper's and with nothing else.

    Raises:
        ValueError: if ``score`` is not one of the names above.
    """

    def __init__(self, score: str, *, paper_protocol: bool = False) -> None:
        super().__init__()
        self.score = look_up_option(score, ("dice", "iou", "accuracy", "mae", "sensitivity", "precision"))
        self.paper_protocol = paper_protocol

    def _compute_tensor(  # type: ignore[override]
        self, y_pred: torch.Tensor, y: torch.Tensor, **kwargs: Any
    ) -> torch.Tensor:
        """
        Args:
            y_pred: (B, K, H, W) one-hot prediction, background first.
            y: (B, K, H, W) one-hot labels.

        Returns:
            (B, K - 1) scores in [0, 1].
        """
        counts = get_confusion_matrix(y_pred, y, include_background=False).double()  # (B, K - 1, 4)
        tp, fp, tn, fn = counts.unbind(-1)
        pixels = counts.sum(-1)
        if self.paper_protocol:
            tp = tp.clamp(min=1)
        if self.score == "accuracy":  # in the paper protocol a miss has one pixel more than the image
            return (tp + tn) / (tp + fp + tn + fn)
        if self.score == "mae":
            return (fp + fn) / pixels
        overlap, size = {
            "dice": (2 * tp, 2 * tp + fp + fn),
            "iou": (tp, tp + fp + fn),
            "sensitivity": (tp, tp + fn),
            "precision": (tp, tp + fp),
        }[self.score]
        undefined = (tp + fp + fn == 0).double()  # 1 where both are empty
        return torch.where(size > 0, overlap / size.clamp(min=1), undefined)


def mean_dice(pred: NDArray[np.uint8], label: NDArray[np.uint8], classes: Iterable[int]) -> float:
    """Dice of two masks, the mean over classes; 1 for a class that is in neither.

    Args:
        pred: predicted label ids, of any shape.
        label: label ids of the same shape.
        classes: ids of the classes, at least one.
    """

    def dice(found: NDArray[np.bool_], there: NDArray[np.bool_]) -> float:
        total = int(found.sum() + there.sum())
        return 2 * int((found & there).sum()) / total if total else 1.0

    return mean(dice(pred == number, label == number) for number in classes)


#: How the scores of pixels are computed, by their names in the table of scores.
METRICS: dict[str, MetricFactory] = {
    "dice": lambda spacing, tolerance: DiceMetric(include_background=False, ignore_empty=False),
    "iou": lambda spacing, tolerance: MeanIoU(include_background=False, ignore_empty=False),
    "mae": lambda spacing, tolerance: ConfusionScore("mae"),
    "accuracy": lambda spacing, tolerance: ConfusionScore("accuracy"),
    "sensitivity": lambda spacing, tolerance: ConfusionScore("sensitivity"),
    "precision": lambda spacing, tolerance: ConfusionScore("precision"),
}
