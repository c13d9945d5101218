# SPDX-License-Identifier: Apache-2.0

"""Scores of each image by its outlines and by its objects."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_hausdorff_distance,
    compute_surface_dice,
)
from monai.utils import look_up_option
from skimage.measure import label as number_objects
from skimage.metrics import contingency_table

from .metrics import ImageScore, MetricFactory

__all__ = ["METRICS", "DetectionScore", "SurfaceScore"]


class _MaskScore(ImageScore):
    """A score of each pair of masks by itself: of each image and class, on the CPU."""

    def _compute_tensor(  # type: ignore[override]
        self, y_pred: torch.Tensor, y: torch.Tensor, **kwargs: Any
    ) -> torch.Tensor:
        rows = [[self._of_class(*pair) for pair in zip(pred[1:], label[1:])] for pred, label in zip(y_pred, y)]
        return torch.tensor(rows, dtype=torch.float64)

    @abstractmethod
    def _of_class(self, pred: torch.Tensor, label: torch.Tensor) -> float:
        """Score two masks (H, W)."""


class SurfaceScore(_MaskScore):
    """How far the outlines of prediction and label are apart, by MONAI; the mean over images and foreground classes.

    - "hd95": 95th percentile of the distances of each outline to the other, the larger of both directions
    - "asd": mean of these distances, over both directions
    - "nsd": normalized surface Dice, the share of both outlines that is within ``tolerance`` of the other

    Where an image neither holds nor is given a class, the distances are 0 and the share is 1. Where it holds the class
    or is given it, but not both, the distances are the image's diagonal and the share is 0: MONAI's own NaN or infinity
    would drop a miss from the mean, or be all of it.

    Args:
        score: one of the names above.
        tolerance: of "nsd", in pixels, or in mm if ``spacing`` is.
        spacing: size of a pixel, in mm if distances shall be.

    Raises:
        ValueError: if ``score`` is not one of the names above.
    """

    def __init__(self, score: str, *, tolerance: float = 2.0, spacing: float = 1.0) -> None:
        super().__init__()
        self.score = look_up_option(score, ("hd95", "asd", "nsd"))
        self.tolerance = tolerance
        self.spacing = spacing

    def _of_class(self, pred: torch.Tensor, label: torch.Tensor) -> float:
        """Score two masks (H, W)."""
        diagonal = self.spacing * math.hypot(*label.shape)
        found, there = bool(pred.any()), bool(label.any())
        if not (found and there):
            best, worst = (1.0, 0.0) if self.score == "nsd" else (0.0, diagonal)
            return best if found == there else worst
        masks = (pred[None, None].cpu(), label[None, None].cpu())
        options: dict[str, Any] = {"include_background": True, "spacing": self.spacing}
        if self.score == "hd95":
            value = compute_hausdorff_distance(*masks, percentile=95, **options)
        elif self.score == "asd":
            value = compute_average_surface_distance(*masks, symmetric=True, **options)
        else:
            value = compute_surface_dice(*masks, class_thresholds=[self.tolerance], **options)
        return float(value)


class DetectionScore(_MaskScore):
    """F1 of the objects found, which are the connected areas of a class (also over corners).

    An object is found if a predicted one has an intersection over union of more than 0.5 with it; so no two can. Where
    an image neither holds nor is given a class, F1 is 1.
    """

    def _of_class(self, pred: torch.Tensor, label: torch.Tensor) -> float:
        """Score two masks (H, W)."""
        predicted, labelled = (number_objects(np.asarray(mask.cpu()) > 0, connectivity=2) for mask in (pred, label))
        objects = int(predicted.max()) + int(labelled.max())
        if objects == 0:
            return 1.0
        overlaps = contingency_table(labelled, predicted).tocoo()  # pixels of each pair that meets, 0 the background
        of_label, of_prediction = (np.bincount(mask.ravel()) for mask in (labelled, predicted))
        union = of_label[overlaps.row] + of_prediction[overlaps.col] - overlaps.data
        found = int(((2 * overlaps.data > union) & (overlaps.row > 0) & (overlaps.col > 0)).sum())
        return 2 * found / objects


#: How the scores of outlines and objects are computed, by their names in the table of scores.
METRICS: dict[str, MetricFactory] = {
    "hd95": lambda spacing, tolerance: SurfaceScore("hd95", spacing=spacing),
    "asd": lambda spacing, tolerance: SurfaceScore("asd", spacing=spacing),
    "nsd": lambda spacing, tolerance: SurfaceScore("nsd", spacing=spacing, tolerance=tolerance),
    "object_f1": lambda spacing, tolerance: DetectionScore(),
}
