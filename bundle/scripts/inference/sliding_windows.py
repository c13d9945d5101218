# SPDX-License-Identifier: Apache-2.0

"""Images at their native resolution: seen through windows of the size that the network was trained on."""

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

# Shapes: B batch, C channels, T classes, H x W image, D slices of a volume, h x w window.


class SlidingWindows(Inferer):
    """Predict through windows that overlap, blended by a Gaussian, in memory that a few rows of windows take.

    :py:class:`monai.inferers.SlidingWindowInferer` does the same, but holds the scores of all pixels and classes as
    float32 at once: 12,000 x 12,000 pixels with two classes take 3 GiB for them alone.

    Args:
        roi_size: (h, w) of a window in pixels. Smaller images are padded by zeros at their end.
        sw_batch_size: windows at a time.
        overlap: share of a window that the next one sees too, from 0 to less than 1.
        decide: from blended scores of some rows, (T, rows, W), to what is kept of them, (K, rows, W) of any type; None
            to keep the scores.

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
        """Predict.

        Args:
            inputs: (B, C, H, W) in [0, 255], any dtype.
            network: from (N, C, h, w) in [-1, 1] to scores (N, T, h, w).
            args, kwargs: handed on to the network.

        Returns:
            (B, T, H, W) scores, or (B, K, H, W) of what was decided by them.
        """
        return torch.stack([self._one(image, lambda x: network(x, *args, **kwargs)) for image in inputs])

    def _one(self, image: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
        height, width = image.shape[1:]
        (h, w), plain = self.roi_size, image.as_subclass(torch.Tensor)
        plain = F.pad(plain, (0, max(0, w - width), 0, max(0, h - height)))
        weight = compute_importance_map(self.roi_size, mode="gaussian", device=plain.device)  # (h, w)
        columns = _starts(plain.shape[2], w, self.steps[1])
        row_weight = torch.zeros(h, plain.shape[2], device=plain.device)  # the same for each row of windows
        for column in columns:
            row_weight[:, column : column + w] += weight
        kept: list[Tensor] = []
        scores, weights, top = torch.empty(0), torch.empty(0), 0  # of the h rows from top on
        for row in _starts(plain.shape[1], h, self.steps[0]):
            band = self._row_of_windows(plain[:, row : row + h], columns, weight, network)  # (T, h, W)
            if row == 0:
                scores, weights = band, row_weight.clone()
                continue
            done = row - top
            kept.append(self._decided(scores[:, :done], weights[:done]))
            # what lies below the rows that are done, and the new row of windows
            scores = F.pad(scores[:, done:], (0, 0, 0, done)) + band
            weights = F.pad(weights[done:], (0, 0, 0, done)) + row_weight
            top = row
        kept.append(self._decided(scores, weights))
        return torch.cat(kept, dim=1)[:, :height, :width]

    def _row_of_windows(
        self, rows: Tensor, columns: Sequence[int], weight: Tensor, network: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Weighted sum of the predictions for (C, h, W)."""
        w = weight.shape[1]
        total = torch.empty(0)
        for first in range(0, len(columns), self.sw_batch_size):
            some = columns[first : first + self.sw_batch_size]
            windows = torch.stack([rows[:, :, column : column + w] for column in some])
            predicted = network(self.scale(windows)).float()  # (N, T, h, w)
            if first == 0:
                total = torch.zeros(predicted.shape[1], *rows.shape[1:], device=rows.device)
            for column, each in zip(some, predicted):
                total[:, :, column : column + w] += each * weight
        return total

    def _decided(self, scores: Tensor, weights: Tensor) -> Tensor:
        blended = scores / weights
        return blended if self.decide is None else self.decide(blended)


class Slices(Inferer):
    """Let another inferer see volumes as images, a few slices at a time.

    :py:class:`monai.inferers.SliceInferer` does so with sliding windows of its own.

    Args:
        inferer: for (B, C, H, W).
        batch_size: slices at a time.
    """

    def __init__(self, inferer: Inferer, *, batch_size: int) -> None:
        super().__init__()
        self.inferer = inferer
        self.batch_size = batch_size

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Predict.

        Args:
            inputs: (B, C, H, W) images, or (1, C, H, W, D), a volume.
            network: for the inferer.
            args, kwargs: handed on.

        Returns:
            What the inferer returns, with the slices as last axis for a volume.
        """
        if inputs.ndim == 4:
            return self.inferer(inputs, network, *args, **kwargs)
        slices = inputs[0].movedim(-1, 0)  # (D, C, H, W)
        found = [self.inferer(some, network, *args, **kwargs) for some in slices.split(self.batch_size)]
        return torch.cat(found).movedim(0, -1)[None]


def _starts(length: int, window: int, step: int) -> list[int]:
    """Where windows begin: each step, and one that ends at the edge."""
    return [*range(0, length - window, step), length - window]
