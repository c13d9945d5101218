# SPDX-License-Identifier: Apache-2.0

"""Score the outlines and the objects of predicted masks."""

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
    """Base of scores that compare one pair of masks at a time, for each image and foreground class, on the CPU."""

    def _compute_tensor(  # type: ignore[override]
        self, y_pred: torch.Tensor, y: torch.Tensor, **kwargs: Any
    ) -> torch.Tensor:
        rows = [[self._score_masks(*pair) for pair in zip(pred[1:], label[1:])] for pred, label in zip(y_pred, y)]
        return torch.tensor(rows, dtype=torch.float64)

    @abstractmethod
    def _score_masks(self, pred: torch.Tensor, label: torch.Tensor) -> float:
        """Score two masks (H, W)."""


class SurfaceScore(_MaskScore):
    """Distance between the outlines of prediction and label, computed by MONAI.

    The score is the mean over images and foreground classes.

    - "hd95": 95th percentile of the distances from one outline to the other, the larger one of both directions
    - "asd": mean of these distances, over both directions
    - "nsd": normalized surface Dice, the share of both outlines that lies within ``tolerance`` of the other outline

    If neither label nor prediction has the class, distances are 0 and the share is 1. If only one of them has the
    class, distances are the length of the image's diagonal and the share is 0. MONAI itself returns NaN or infinity
    there, so a missed object would not count in the mean, or would make the mean infinite.

    Args:
        score: one of the names above.
        tolerance: tolerance of "nsd", in pixels, or in mm if ``spacing`` is in mm.
        spacing: side of a pixel. A value in mm gives distances in mm; 1 gives distances in pixels.

    Raises:
        ValueError: if ``score`` is not one of the names above.
    """

    def __init__(self, score: str, *, tolerance: float = 2.0, spacing: float = 1.0) -> None:
        super().__init__()
        self.score = look_up_option(score, ("hd95", "asd", "nsd"))
        self.tolerance = tolerance
        self.spacing = spacing

    def _score_masks(self, pred: torch.Tensor, label: torch.Tensor) -> float:
        """Score two masks (H, W)."""
        diagonal = self.spacing * math.hypot(*label.shape)
        in_pred, in_label = bool(pred.any()), bool(label.any())
        if not (in_pred and in_label):
            best, worst = (1.0, 0.0) if self.score == "nsd" else (0.0, diagonal)
            return best if in_pred == in_label else worst
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
    """F1 score of detected objects. An object is a connected area of a class; pixels also connect over corners.

    A labeled object is detected if its intersection over union with a predicted object exceeds 0.5. At most one
    predicted object can reach that. If neither label nor prediction has the class, F1 is 1.
    """

    def _score_masks(self, pred: torch.Tensor, label: torch.Tensor) -> float:
        """Score two masks (H, W)."""
        predicted, labelled = (number_objects(np.asarray(mask.cpu()) > 0, connectivity=2) for mask in (pred, label))
        objects = int(predicted.max()) + int(labelled.max())
        if objects == 0:
            return 1.0
        overlaps = contingency_table(labelled, predicted).tocoo()  # pixels of each overlapping pair; 0 is background
        of_label, of_prediction = (np.bincount(mask.ravel()) for mask in (labelled, predicted))
        union = of_label[overlaps.row] + of_prediction[overlaps.col] - overlaps.data
        detected = int(((2 * overlaps.data > union) & (overlaps.row > 0) & (overlaps.col > 0)).sum())
        return 2 * detected / objects


#: How the scores of outlines and objects are computed, by their names in the table of scores.
METRICS: dict[str, MetricFactory] = {
    "hd95": lambda spacing, tolerance: SurfaceScore("hd95", spacing=spacing),
    "asd": lambda spacing, tolerance: SurfaceScore("asd", spacing=spacing),
    "nsd": lambda spacing, tolerance: SurfaceScore("nsd", spacing=spacing, tolerance=tolerance),
    "object_f1": lambda spacing, tolerance: DetectionScore(),
}
