# SPDX-License-Identifier: Apache-2.0

"""Predict images at their native resolution, through windows of the size that the network was trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.data.utils import compute_importance_map
from monai.inferers import Inferer
from torch import Tensor

from ..common.errors import InputError
from ..transforms.intensity import FullScale

__all__ = ["SlidingWindows", "Slices"]

# Shapes: B batch size, N windows, C channels, T classes, K channels of a decision, H x W image in pixels, D slices of a
# volume, h x w window in pixels.


class SlidingWindows(Inferer):
    """Predict through overlapping windows that are blended with a Gaussian, storing scores of a few rows only.

    :py:class:`monai.inferers.SlidingWindowInferer` gives the same result, but stores the float32 scores of all pixels
    and classes at once. For 12,000 x 12,000 pixels with two classes, these alone take 3 GiB.

    Args:
        roi_size: (h, w) of a window in pixels. Smaller images are padded with zeros at their lower and right ends.
        sw_batch_size: number of windows that the network predicts at a time.
        overlap: share of a window that overlaps with the next one, from 0 to less than 1.
        decide: a function that turns the blended scores of some rows, (T, rows, W), into a result (K, rows, W) of any
            dtype, such as label ids. None keeps the scores.

    Raises:
        InputError: if ``overlap`` is out of range.
    """

    def __init__(
        self,
        roi_size: Sequence[int],
        *,
        sw_batch_size: int = 4,
        overlap: float = 0.25,
        decide: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= overlap < 1:
            raise InputError(f"overlap is {overlap}; use at least 0 and less than 1")
        self.roi_size = (roi_size[0], roi_size[1])
        self.sw_batch_size = sw_batch_size
        self.steps = tuple(max(1, int(side * (1 - overlap))) for side in self.roi_size)
        self.decide = decide
        self.scale = FullScale()

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Predict a batch of images.

        Args:
            inputs: (B, C, H, W) in [0, 255], any dtype.
            network: a network that turns windows (N, C, h, w) in [-1, 1] into scores (N, T, h, w).
            args, kwargs: further arguments of the network.

        Returns:
            Scores (B, T, H, W), or results of ``decide``, (B, K, H, W).
        """
        return torch.stack([self._predict_image(image, lambda x: network(x, *args, **kwargs)) for image in inputs])

    def _predict_image(self, image: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
        height, width = image.shape[1:]
        (h, w), plain = self.roi_size, image.as_subclass(torch.Tensor)
        plain = F.pad(plain, (0, max(0, w - width), 0, max(0, h - height)))
        weight = compute_importance_map(self.roi_size, mode="gaussian", device=plain.device)  # (h, w)
        columns = _starts(plain.shape[2], w, self.steps[1])
        row_weight = torch.zeros(h, plain.shape[2], device=plain.device)  # equal for all rows of windows
        for column in columns:
            row_weight[:, column : column + w] += weight
        results: list[Tensor] = []
        # Weighted sums of scores, and sums of weights, of the h image rows that start at row ``top``.
        scores, weights, top = torch.empty(0), torch.empty(0), 0
        for row in _starts(plain.shape[1], h, self.steps[0]):
            band = self._predict_row(plain[:, row : row + h], columns, weight, network)  # (T, h, W)
            if row == 0:
                scores, weights = band, row_weight.clone()
                continue
            finished = row - top  # number of rows above the new windows, which get no further scores
            results.append(self._decide(scores[:, :finished], weights[:finished]))
            # Drop the finished rows, and add the new row of windows.
            scores = F.pad(scores[:, finished:], (0, 0, 0, finished)) + band
            weights = F.pad(weights[finished:], (0, 0, 0, finished)) + row_weight
            top = row
        results.append(self._decide(scores, weights))
        return torch.cat(results, dim=1)[:, :height, :width]

    def _predict_row(
        self, rows: Tensor, columns: Sequence[int], weight: Tensor, network: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Predict one row of windows of ``rows`` (C, h, W); returns the weighted sum of scores (T, h, W)."""
        w = weight.shape[1]
        total = torch.empty(0)
        for first in range(0, len(columns), self.sw_batch_size):
            batch_columns = columns[first : first + self.sw_batch_size]
            windows = torch.stack([rows[:, :, column : column + w] for column in batch_columns])
            predictions = network(self.scale(windows)).float()  # (N, T, h, w)
            if first == 0:
                total = torch.zeros(predictions.shape[1], *rows.shape[1:], device=rows.device)
            for column, prediction in zip(batch_columns, predictions):
                total[:, :, column : column + w] += prediction * weight
        return total

    def _decide(self, scores: Tensor, weights: Tensor) -> Tensor:
        blended = scores / weights
        return blended if self.decide is None else self.decide(blended)


class Slices(Inferer):
    """Run another inferer on the slices of volumes, a few slices at a time.

    :py:class:`monai.inferers.SliceInferer` has its own sliding windows and cannot run another inferer.

    Args:
        inferer: an inferer for images (B, C, H, W).
        batch_size: number of slices at a time.
    """

    def __init__(self, inferer: Inferer, *, batch_size: int) -> None:
        super().__init__()
        self.inferer = inferer
        self.batch_size = batch_size

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Predict images or a volume.

        Args:
            inputs: images (B, C, H, W), or one volume (1, C, H, W, D).
            network: the network for the inferer.
            args, kwargs: further arguments of the inferer.

        Returns:
            The result of the inferer. For a volume, the slices are its last axis.
        """
        if inputs.ndim == 4:
            return self.inferer(inputs, network, *args, **kwargs)
        slices = inputs[0].movedim(-1, 0)  # (D, C, H, W)
        results = [self.inferer(batch, network, *args, **kwargs) for batch in slices.split(self.batch_size)]
        return torch.cat(results).movedim(0, -1)[None]


def _starts(length: int, window: int, step: int) -> list[int]:
    """Return the first pixel of every window: one at each step, and a last one that ends at the edge."""
    return [*range(0, length - window, step), length - window]
