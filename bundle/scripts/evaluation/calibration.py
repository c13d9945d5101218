# SPDX-License-Identifier: Apache-2.0

"""Whether predicted probabilities can be taken at their word."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from numpy.typing import NDArray

from ..common.files import write_json

__all__ = ["Calibration"]

_BINS = 15


class Calibration:
    """Compare predicted probabilities with how often they come true, and write ``calibration.json``.

    Counted is every pair of a pixel and a foreground class, at the images' original size: which probability the pixel
    has for the class, and whether the label gives it that class. All pairs weigh the same, so large images weigh more
    than small ones. The probability of the background is not counted; of two classes it would say the same again.

    The file holds 15 equal ``bins`` of probability, each with its ends ``low`` and ``high``, the ``count`` of pairs,
    their ``mean_probability``, and the ``frequency`` with which they are true; the last two are null in an empty bin.
    ``expected_calibration_error`` is the mean gap between mean probability and frequency, over all pairs. Most pairs
    are background far from any object, near 0 and right, and make it small; so
    ``expected_calibration_error_above_first_bin`` is the same without the first bin, null if nothing is above it.

    Args:
        output_dir: folder for the file, made if missing.
    """

    def __init__(self, output_dir: str | os.PathLike) -> None:
        self.output_dir = Path(output_dir)
        self.sums = np.zeros((3, _BINS))  # pairs, their probabilities, those that are true

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator whose outputs have ``"probability"`` and ``"original_label"``.

        Both are (K, H, W) of one size: softmax, and one-hot.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.STARTED, self._clear)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self)

    def _clear(self) -> None:
        self.sums = np.zeros((3, _BINS))
        self.not_finite = 0

    def _collect(self, engine: Engine) -> None:
        outputs: Any = engine.state.output  # MONAI's evaluator leaves one dictionary an image
        for item in outputs:
            probability, true = (
                item[key][1:].float().cpu().numpy().ravel() for key in ("probability", "original_label")
            )
            known = np.isfinite(probability)  # half precision can overflow
            self.not_finite += int((~known).sum())
            probability, true = probability[known], true[known]
            bins = (probability * _BINS).astype(np.int64).clip(0, _BINS - 1)
            for sums, weights in zip(self.sums, (None, probability, true)):
                sums += np.bincount(bins, weights=weights, minlength=_BINS)

    def __call__(self, engine: Engine) -> None:
        """
        Args:
            engine: the evaluator, all images seen.
        """
        total: Any = idist.all_reduce(torch.from_numpy(self.sums))
        not_finite: Any = idist.all_reduce(self.not_finite)
        if idist.get_rank() > 0:
            return
        counts, probabilities, true = total.numpy()
        filled = np.maximum(counts, 1)
        gaps = np.abs(true / filled - probabilities / filled)
        bins = [
            {
                "low": i / _BINS,
                "high": (i + 1) / _BINS,
                "count": int(counts[i]),
                "mean_probability": probabilities[i] / counts[i] if counts[i] else None,
                "frequency": true[i] / counts[i] if counts[i] else None,
            }
            for i in range(_BINS)
        ]
        report = {
            "bins": bins,
            "num_not_finite": int(not_finite),
            "expected_calibration_error": _weighted_mean(gaps, counts),
            "expected_calibration_error_above_first_bin": _weighted_mean(gaps[1:], counts[1:]),
        }
        write_json(self.output_dir / "calibration.json", report)


def _weighted_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float | None:
    return float((values * weights).sum() / weights.sum()) if weights.any() else None
